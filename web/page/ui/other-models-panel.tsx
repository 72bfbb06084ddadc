import { useEffect, useId, useState } from 'preact/hooks';
import type { ModelInfo } from '../../../protocol/catalog.ts';
import { formatBytes } from '../format.ts';
import { addToPrompt, type LoraFacts, readLoraFacts, withLora } from '../lora-facts.ts';
import { forgetModelFiles } from '../model-files.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { useBridge } from './use-bridge.ts';

const KINDS = ['lora', 'embedding', 'vae', 'controlnet', 'esrgan', 'taesd'] as const;

/** Strength, trigger words, and the way into the prompt. */
function LoraUse({ name, facts }: { name: string; facts: LoraFacts | undefined }) {
  const { state } = useApp();
  const id = useId();
  const [strength, setStrength] = useState('1');
  const { prompt } = state.form;
  const value = Number(strength);
  const isNumber = strength.trim() !== '' && Number.isFinite(value) && Math.abs(value) <= 10;
  return (
    <div class="model-use">
      <label for={id}>{t.otherModels.strength}</label>
      <input
        id={id}
        type="number"
        min="-10"
        max="10"
        step="0.05"
        value={strength}
        aria-invalid={!isNumber}
        onInput={(event) => setStrength(event.currentTarget.value)}
      />
      <button
        type="button"
        disabled={!isNumber}
        onClick={() => setFields(state, { prompt: withLora(prompt.value, name, value) })}
      >
        {prompt.value.includes(`<lora:${name}:`) ? t.otherModels.inPrompt : t.otherModels.add}
        <span class="visually-hidden"> {name}</span>
      </button>
      {facts && facts.triggers.length > 0 && (
        <p class="triggers">
          <span class="quiet">{t.otherModels.triggers}</span>
          {facts.triggers.map((word) => (
            <button
              key={word}
              type="button"
              class="small"
              onClick={() => setFields(state, { prompt: addToPrompt(prompt.value, word) })}
            >
              {word}
            </button>
          ))}
        </p>
      )}
    </div>
  );
}

function EmbeddingUse({ name }: { name: string }) {
  const { state } = useApp();
  const { prompt, negativePrompt } = state.form;
  return (
    <div class="model-use">
      <button
        type="button"
        onClick={() => setFields(state, { prompt: addToPrompt(prompt.value, name) })}
      >
        {t.otherModels.add}
        <span class="visually-hidden"> {name}</span>
      </button>
      <button
        type="button"
        onClick={() =>
          setFields(state, { negativePrompt: addToPrompt(negativePrompt.value, name) })
        }
      >
        {t.otherModels.addNegative}
        <span class="visually-hidden"> {name}</span>
      </button>
    </div>
  );
}

function ModelRow({ model, facts }: { model: ModelInfo; facts: LoraFacts | undefined }) {
  const app = useApp();
  const { kind, name, source, filename, sizeBytes } = model;
  const line = [
    t.models.sources[source],
    ...(sizeBytes === null ? [] : [formatBytes(sizeBytes)]),
    ...(facts?.base ? [t.otherModels.base(facts.base)] : []),
  ];
  return (
    <li class="model-row">
      <div class="model-about">
        <p class="model-name">{name}</p>
        <p class="quiet">{line.join(' · ')}</p>
        <p class="quiet model-file">{filename}</p>
        {kind === 'lora' && <LoraUse name={name} facts={facts} />}
        {kind === 'embedding' && <EmbeddingUse name={name} />}
      </div>
      {source === 'browser' && (
        <button type="button" class="push-right" onClick={() => void forgetModelFiles(app, model)}>
          {t.modelFiles.forget}
          <span class="visually-hidden"> {name}</span>
        </button>
      )}
    </li>
  );
}

/** Facts of the bridge's LoRAs, read anew when the list changes. */
function useLoraFacts(names: string): ReadonlyMap<string, LoraFacts> {
  const api = useBridge();
  const [facts, setFacts] = useState<ReadonlyMap<string, LoraFacts>>(new Map());
  useEffect(() => {
    if (!api || names === '') return;
    let isShown = true;
    readLoraFacts(api).then(
      (found) => isShown && setFacts(found),
      // Without them a LoRA can be used all the same.
      () => {},
    );
    return () => {
      isShown = false;
    };
  }, [api, names]);
  return facts;
}

/** What is used with checkpoints, by kind: LoRAs, textual inversions, VAEs, ControlNets, upscalers. */
export function OtherModelsPanel() {
  const { state } = useApp();
  const models = state.catalog.value.models ?? [];
  const ofKind = (kind: ModelInfo['kind']) => models.filter((model) => model.kind === kind);
  const loraNames = ofKind('lora').map(({ name }) => name);
  const facts = useLoraFacts(loraNames.join('\n'));
  return (
    <section class="panel">
      <h2>{t.otherModels.title}</h2>
      {models.length === 0 && <p class="quiet">{t.otherModels.empty}</p>}
      {KINDS.filter((kind) => ofKind(kind).length > 0).map((kind) => (
        <section key={kind} class="model-kind">
          <h3>{t.otherModels.sections[kind]}</h3>
          <p class="quiet">{t.otherModels.hints[kind]}</p>
          <ul class="model-list">
            {ofKind(kind).map((model) => (
              <ModelRow key={model.name} model={model} facts={facts.get(model.name)} />
            ))}
          </ul>
        </section>
      ))}
    </section>
  );
}
