import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { EditSession } from '../../edit/edit-session.ts';
import { zoomStep } from '../../edit/keys.ts';
import { t } from '../../strings/strings.ts';
import { FitIcon, RedoIcon, UndoIcon, ZoomInIcon, ZoomOutIcon } from '../icons.tsx';

interface ToolProps {
  readonly label: string;
  readonly title?: string;
  readonly isPressed: boolean;
  readonly onClick: () => void;
}

function Tool({ label, title, isPressed, onClick }: ToolProps) {
  return (
    <button type="button" class="chip" title={title} aria-pressed={isPressed} onClick={onClick}>
      {label}
    </button>
  );
}

interface IconToolProps {
  readonly label: string;
  readonly shortcut?: string;
  readonly isDisabled?: boolean;
  readonly onClick: () => void;
  readonly children: ComponentChildren;
}

function IconTool({ label, shortcut, isDisabled = false, onClick, children }: IconToolProps) {
  return (
    <button
      type="button"
      class="icon-button"
      title={shortcut ? `${label} (${shortcut})` : label}
      disabled={isDisabled}
      onClick={onClick}
    >
      {children}
      <span class="visually-hidden">{label}</span>
    </button>
  );
}

function BrushFields({ session }: { session: EditSession }) {
  const id = useId();
  return (
    <>
      <label class="tool-field" for={`${id}-size`}>
        <span>{t.edit.brushSize}</span>
        <input
          id={`${id}-size`}
          type="range"
          min={1}
          max={512}
          title={`${t.edit.brushSize} ([ ])`}
          value={session.brushSize.value}
          onInput={(event) => session.setBrush(Number(event.currentTarget.value))}
        />
        <output for={`${id}-size`}>{session.brushSize.value}</output>
      </label>
      {session.layer.value === 'paint' && (
        <input
          type="color"
          aria-label={t.edit.color}
          title={t.edit.color}
          value={session.color.value}
          onInput={(event) => {
            session.color.value = event.currentTarget.value;
          }}
        />
      )}
    </>
  );
}

function LayerTools({ session }: { session: EditSession }) {
  const layer = session.layer.value;
  const hasContent = layer === 'mask' ? session.hasMask.value : session.hasPaint.value;
  return (
    <>
      <div class="tool-group">
        {(['mask', 'paint'] as const).map((name) => (
          <Tool
            key={name}
            label={t.edit.layers[name]}
            title={t.edit.layerTitles[name]}
            isPressed={layer === name}
            onClick={() => {
              session.layer.value = name;
            }}
          />
        ))}
      </div>
      <div class="tool-group">
        {([false, true] as const).map((isEraser) => (
          <Tool
            key={String(isEraser)}
            label={isEraser ? t.edit.eraser : t.edit.brush}
            title={isEraser ? `${t.edit.eraser} (E)` : `${t.edit.brush} (B)`}
            isPressed={session.isEraser.value === isEraser}
            onClick={() => {
              session.isEraser.value = isEraser;
            }}
          />
        ))}
      </div>
      <BrushFields session={session} />
      <div class="tool-group">
        {layer === 'mask' && (
          <button type="button" class="chip" onClick={() => session.invertMask()}>
            {t.edit.invert}
          </button>
        )}
        <button
          type="button"
          class="chip"
          disabled={!hasContent}
          onClick={() => session.clear(layer)}
        >
          {t.edit.clear[layer]}
        </button>
      </div>
    </>
  );
}

/** Zooms about the middle of the canvas beside it. */
function zoom(session: EditSession, button: Element | null, direction: 1 | -1): void {
  const area = button?.closest('.edit-stage')?.querySelector('.edit-area');
  const size = { width: area?.clientWidth ?? 0, height: area?.clientHeight ?? 0 };
  zoomStep(session, size, direction);
}

/** What there is to paint with, and the way back. */
export function EditToolbar({ session, onFit }: { session: EditSession; onFit: () => void }) {
  return (
    <div class="edit-tools" role="toolbar" aria-label={t.edit.tools}>
      <LayerTools session={session} />
      <div class="tool-group tool-end">
        <IconTool
          label={t.edit.undo}
          shortcut="Ctrl+Z"
          isDisabled={!session.canUndo.value}
          onClick={() => session.undo()}
        >
          <UndoIcon />
        </IconTool>
        <IconTool
          label={t.edit.redo}
          shortcut="Ctrl+Shift+Z"
          isDisabled={!session.canRedo.value}
          onClick={() => session.redo()}
        >
          <RedoIcon />
        </IconTool>
        <IconTool
          label={t.edit.zoomOut}
          shortcut="-"
          onClick={() => zoom(session, document.activeElement, -1)}
        >
          <ZoomOutIcon />
        </IconTool>
        <IconTool
          label={t.edit.zoomIn}
          shortcut="+"
          onClick={() => zoom(session, document.activeElement, 1)}
        >
          <ZoomInIcon />
        </IconTool>
        <IconTool label={t.edit.fit} shortcut="0" onClick={onFit}>
          <FitIcon />
        </IconTool>
      </div>
    </div>
  );
}
