/** Easel's version, the same as in package.json (a test compares them). */
export const EASEL_VERSION = '0.1.0';
