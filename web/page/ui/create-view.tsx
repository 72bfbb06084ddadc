import { startGeneration } from '../actions.ts';
import { t } from '../strings/strings.ts';
import { CheckpointField } from './checkpoint-field.tsx';
import { CompareFields } from './compare-fields.tsx';
import { useApp } from './context.ts';
import { ControlFields } from './control-fields.tsx';
import { GenerateBar } from './generate-bar.tsx';
import { HiresFields } from './hires-fields.tsx';
import { InitPictureFields } from './init-picture-fields.tsx';
import { MoreFields } from './more-fields.tsx';
import { PromptFields } from './prompt-fields.tsx';
import { RefinerFields } from './refiner-fields.tsx';
import { SamplingFields } from './sampling-fields.tsx';
import { SeedFields } from './seed-fields.tsx';
import { SizeFields } from './size-fields.tsx';
import { Stage } from './stage.tsx';

/** Where pictures are made: words and settings on one side, the picture on the other. */
export function CreateView() {
  const app = useApp();
  const { state } = app;
  const generate = () => void startGeneration(app);
  return (
    <main class="create" id="content">
      <h1 class="visually-hidden">{t.nav.create}</h1>
      <div class="create-words">
        <PromptFields onSubmit={generate} />
        <GenerateBar onGenerate={generate} />
      </div>
      <Stage />
      <div class="create-settings">
        <CheckpointField />
        <InitPictureFields />
        <SizeFields />
        <SamplingFields />
        <SeedFields />
        {state.init.picture.value === null && <HiresFields />}
        <RefinerFields />
        <ControlFields hasInit={state.init.picture.value !== null} />
        <CompareFields />
        <MoreFields />
      </div>
    </main>
  );
}
