import type { ModelDescription } from '../model.ts';
import { ConfigReader } from './reader.ts';

export type NoiseScheduleConfig = Pick<
  ModelDescription,
  'predictionType' | 'trainSteps' | 'betaStart' | 'betaEnd' | 'betaSchedule' | 'zeroTerminalSnr'
>;

/**
 * Reads what the training left in `scheduler_config.json`: the betas and what the UNet predicts. How
 * steps are chosen is the user's business, so the rest of the file is not looked at; only what would
 * make other betas is refused.
 */
export function parseSchedulerConfig(
  file: string,
  fields: Readonly<Record<string, unknown>>,
): NoiseScheduleConfig {
  const reader = new ConfigReader(file, fields);
  reader.onlyKnown({ trained_betas: null });
  const config: NoiseScheduleConfig = {
    predictionType: reader.choice('prediction_type', ['epsilon', 'v_prediction'], 'epsilon'),
    trainSteps: reader.count('num_train_timesteps', 1000),
    betaStart: reader.number('beta_start', 0.0001),
    betaEnd: reader.number('beta_end', 0.02),
    betaSchedule: reader.choice('beta_schedule', ['linear', 'scaled_linear'], 'linear'),
    zeroTerminalSnr: reader.flag('rescale_betas_zero_snr', false),
  };
  const { betaStart, betaEnd } = config;
  if (!(betaStart > 0 && betaStart < 1)) throw reader.wrong('beta_start', 'between 0 and 1');
  if (!(betaEnd >= betaStart && betaEnd < 1)) throw reader.wrong('beta_end', 'up to 1');
  return config;
}
