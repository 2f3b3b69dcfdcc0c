/** Bounds on what an image may ask of the plane. Every refusal names the bound it met. */
export interface ImageLimits {
  /** A manifest, an index or a config is read into memory whole; real ones are a few KiB. */
  jsonBlobBytesMax: number;
  /** The layers, or the tar that holds the layout, as stored. */
  imageBytesMax: number;
  /** All layers unpacked: what a few KiB of gzip could grow into. */
  unpackedBytesMax: number;
  /** Files, directories and links in all layers; each costs an inode while the image is built. */
  entryCountMax: number;
  layerCountMax: number;
  /** Entries of the tar that holds a layout: one blob each, so far fewer than files in an image. */
  layoutEntryCountMax: number;
  /** Image names kept by a store. */
  nameCountMax: number;
  /** Imports running or waiting, pulls and uploads among them; images are built one after the other. */
  importCountMax: number;
  /** One import from its request to the commit, in milliseconds. */
  importTimeoutMs: number;
  /** A registry that has not said by then what a reference means is given up, in milliseconds. */
  lookUpTimeoutMs: number;
  /** One that sends nothing more for so long is given up, in milliseconds. */
  stallTimeoutMs: number;
  /** Unpacked bytes for each stored one, of an image that unpacks to more than `ratioFreeBytes`. */
  unpackRatioMax: number;
  ratioFreeBytes: number;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const DEFAULT_IMAGE_LIMITS: Readonly<ImageLimits> = {
  jsonBlobBytesMax: 4 * MIB,
  imageBytesMax: 16 * GIB,
  unpackedBytesMax: 32 * GIB,
  entryCountMax: 1_000_000,
  layerCountMax: 127,
  layoutEntryCountMax: 10_000,
  nameCountMax: 10_000,
  importCountMax: 16,
  importTimeoutMs: 15 * 60_000,
  lookUpTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
  unpackRatioMax: 200,
  ratioFreeBytes: GIB,
};
