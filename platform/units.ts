/**
 * Units used across the project. A name's last word says its unit; these are the factors between them.
 */
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

export const MS_PER_S = 1000;
export const US_PER_MS = 1000;
