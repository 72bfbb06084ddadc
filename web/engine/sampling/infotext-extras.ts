/** What a choice adds to a job's infotext: A1111's labels, in its order. Booleans are written `True`. */
export type InfotextExtras = Record<string, string | number | boolean>;
