import { Hono } from 'hono';
import { OPTION_LIST_PATH, type OptionDescription } from '../../protocol/option-list.ts';
import { listCheckpoints } from '../a1111/checkpoints.ts';
import { OPTIONS } from '../a1111/option-table.ts';
import type { AppEnv } from '../app-env.ts';
import type { BridgeServices } from '../services.ts';

/** What can be chosen where the table does not know it: the models that are there. */
async function modelChoices(
  models: BridgeServices['models'],
): Promise<Readonly<Record<string, readonly string[]>>> {
  const names = async (kind: 'vae' | 'lora') => (await models.list(kind)).map(({ name }) => name);
  const checkpoints = await listCheckpoints(models);
  return {
    sd_model_checkpoint: checkpoints.map(({ title }) => title),
    sd_vae: ['Automatic', 'None', ...(await names('vae'))],
    sd_lora: ['None', ...(await names('lora'))],
  };
}

/** The table of options with what each takes, from which the page makes its settings. */
export function optionRoutes({ models }: Pick<BridgeServices, 'models'>): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get(OPTION_LIST_PATH, async (c) => {
    const choices = await modelChoices(models);
    const options = OPTIONS.map((entry): OptionDescription => {
      const found = choices[entry.key] ?? entry.choices;
      return {
        ...{ key: entry.key, status: entry.status, about: entry.about },
        default: typeof entry.default === 'object' ? [...entry.default] : entry.default,
        ...(found ? { choices: [...found] } : {}),
        ...(entry.min === undefined ? {} : { min: entry.min }),
        ...(entry.max === undefined ? {} : { max: entry.max }),
      };
    });
    return c.json({ options }, 200, { 'cache-control': 'no-store' });
  });
  return app;
}
