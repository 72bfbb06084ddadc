import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPTIONS } from '../../../bridge/a1111/option-table.ts';
import { optionList, optionValues } from '../../../protocol/option-list.ts';
import { startTestBridge, type TestBridge } from '../support.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await startTestBridge();
});
afterAll(() => bridge.dispose());

test('GET /easel/v1/options describes every option that A1111’s route serves, with what can be chosen', async () => {
  const reply = await fetch(`${bridge.url}/easel/v1/options`);
  const { options } = optionList.parse(await reply.json());
  const values = optionValues.parse(await (await fetch(`${bridge.url}/sdapi/v1/options`)).json());
  expect(options.map(({ key }) => key).sort()).toEqual(Object.keys(values).sort());
  expect(options).toHaveLength(OPTIONS.length);
  const find = (key: string) => options.find((option) => option.key === key);
  expect(find('sd_model_checkpoint')?.choices).toContain(values.sd_model_checkpoint);
  expect(find('sd_vae')?.choices).toEqual(['Automatic', 'None']);
  expect(find('CLIP_stop_at_last_layers')).toMatchObject({ min: 1, max: 12, status: 'works' });
  for (const { choices, key } of options) {
    if (choices && key !== 'sd_model_checkpoint')
      expect(choices, key).toContain(String(values[key]));
  }
});
