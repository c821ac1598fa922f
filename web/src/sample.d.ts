declare module 'virtual:sample' {
  /** Where the bundled sample is served. */
  export const sampleUrl: string;
}
