/** What a choice adds to a job's infotext: A1111's labels, in its order. Booleans are written `True`. */
export type InfotextExtras = Record<string, string | number | boolean>;

/** An infotext number that A1111 types as float and so writes with a point: `7.0`. */
export const FLOAT_INFOTEXT_KEYS: ReadonlySet<string> = new Set([
  'Schedule min sigma',
  'Schedule max sigma',
  'Schedule rho',
  'Beta schedule alpha',
  'Beta schedule beta',
  'Eta',
  'Eta DDIM',
  'Sigma churn',
  'Sigma tmin',
  'Sigma tmax',
  'Sigma noise',
  'Extra noise',
  'Noise multiplier',
  'NGMS',
  'Skip Early CFG',
]);
