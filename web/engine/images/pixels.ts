/** A picture as 8-bit rows of red, green and blue. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** height × width × 3. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/**
 * The VAE's picture, f32 [3, height, width] in -1..1, as 8-bit pixels. Values are clamped and, as in
 * A1111, cut off rather than rounded.
 */
export function toPixels(image: Float32Array, height: number, width: number): Pixels {
  const plane = height * width;
  const data = new Uint8Array(plane * 3);
  for (let channel = 0; channel < 3; channel++) {
    const offset = channel * plane;
    for (let i = 0; i < plane; i++) {
      const value = ((image[offset + i] as number) + 1) / 2;
      data[i * 3 + channel] = Math.floor(255 * Math.min(Math.max(value, 0), 1));
    }
  }
  return { width, height, data };
}

/** The inverse: f32 [3, height, width] in -1..1, as the VAE's encoder takes it. */
export function fromPixels({ width, height, data }: Pixels): Float32Array {
  const plane = height * width;
  const image = new Float32Array(plane * 3);
  for (let channel = 0; channel < 3; channel++) {
    const offset = channel * plane;
    for (let i = 0; i < plane; i++) {
      image[offset + i] = ((data[i * 3 + channel] as number) / 255) * 2 - 1;
    }
  }
  return image;
}
