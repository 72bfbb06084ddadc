/** A value as it goes into an infotext; null leaves its key out. */
export type InfotextInput = string | number | boolean | null;

/** Labels whose numbers A1111 keeps as floats: whole ones are written with a point (`7.0`). */
const FLOAT_LABELS: ReadonlySet<string> = new Set([
  'CFG scale',
  'Image CFG scale',
  'Variation seed strength',
  'Denoising strength',
  'Conditional mask weight',
  'Token merging ratio',
  'Token merging ratio hr',
  'Hires upscale',
  'Hires CFG scale',
  'Eta',
  'Eta DDIM',
  'Sigma churn',
  'Sigma tmin',
  'Sigma tmax',
  'Sigma noise',
  'NGMS',
  'Skip Early CFG',
  'Schedule min sigma',
  'Schedule max sigma',
  'Schedule rho',
  'Beta schedule alpha',
  'Beta schedule beta',
  'Noise multiplier',
  'Extra noise',
  'Refiner switch at',
]);

/** True where A1111 writes whole numbers under this label with a point. */
export function isFloatLabel(label: string): boolean {
  return FLOAT_LABELS.has(label);
}

/** A number as Python prints a float: `7.0`, `1e-05`, `inf`. */
export function formatPythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '', exponentText = '0'] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const sign = exponent < 0 ? '-' : '+';
    return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const plain = plainDigits(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

/** Shortest decimal digits without an exponent, for numbers that Python writes so. */
function plainDigits(value: number): string {
  const text = String(value);
  if (!text.includes('e')) return text;
  // JavaScript goes over to exponents at 1e-7 only, below what comes here, and at 1e21.
  return value.toFixed(20);
}

/** A value under a label as Python's `str` gives it, before quoting. */
export function formatValue(label: string, value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return value;
  return isFloatLabel(label) || !Number.isInteger(value) ? formatPythonFloat(value) : String(value);
}

/** Quotes a value as JSON where it holds a comma, a colon or a line feed. */
export function quoteValue(value: string): string {
  return /[,:\n]/.test(value) ? JSON.stringify(value) : value;
}

/** The inverse of `quoteValue`; what is no JSON string stays as it is. */
export function unquoteValue(text: string): string {
  if (!text.startsWith('"') || !text.endsWith('"')) return text;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : text;
  } catch {
    return text;
  }
}
