const THUMB_SIDE = 320;

/** A small WebP of a picture for the gallery's grid; null where the browser cannot make one. */
export async function makeThumbnail(file: Blob): Promise<Blob | null> {
  try {
    const full = await createImageBitmap(file);
    const scale = Math.min(1, THUMB_SIDE / Math.min(full.width, full.height));
    const width = Math.max(1, Math.round(full.width * scale));
    const height = Math.max(1, Math.round(full.height * scale));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    if (context) context.imageSmoothingQuality = 'high';
    context?.drawImage(full, 0, 0, width, height);
    full.close();
    return await canvas.convertToBlob({ type: 'image/webp', quality: 0.82 });
  } catch {
    return null;
  }
}
