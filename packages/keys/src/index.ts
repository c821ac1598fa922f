/** API keys: how they look, and the file that holds them. */
export { API_KEY_ID, type ApiKeyParts, digestOf, newApiKey, parseApiKey } from './api-key.ts';
export { addKey, listKeys, removeKey } from './edit-key-file.ts';
export { type KeyLimits, type KeyRecord, parseKeyFile, SCOPES, type Scope } from './key-file.ts';
