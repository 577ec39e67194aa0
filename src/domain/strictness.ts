/** How strict an estate is meant to be, least first. */
export const STRICTNESSES = ['sandbox', 'internal', 'production', 'regulated'] as const;
export type Strictness = (typeof STRICTNESSES)[number];
