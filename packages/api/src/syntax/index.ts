/** The operation syntax of URLs (docs/urls.md), for whoever writes it; the gateway reads it. */
export { enumPrefix } from './field-text.ts';
export { formatOperations } from './format-operations.ts';
export * from './grammar.ts';
