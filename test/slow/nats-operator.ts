/**
 * A nats-server of an operator, who lets in users by signed tokens (JWT) alone, and the credentials files of two: one of an
 * account that the server knows, one of an account that it does not. Written as `nsc` does:
 * https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt.
 */
import { createHash } from 'node:crypto';
import { nkeys } from 'nats';

/** A pair of keys, as nats has it but for its types. */
interface KeyPair {
  getPublicKey(): string;
  getSeed(): Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
}

export interface Operator {
  /** Lines of the server's configuration. */
  readonly lines: readonly string[];
  /** What a .creds file holds. */
  readonly creds: string;
  readonly strangerCreds: string;
}

const unlimited = {
  ...{ subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
  ...{ mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 },
};
const userLimits = { subs: -1, data: -1, payload: -1, pub: {}, sub: {} };

export function createOperator(): Operator {
  const operator: KeyPair = nkeys.createOperator();
  const system: KeyPair = nkeys.createAccount();
  const account: KeyPair = nkeys.createAccount();
  const stranger: KeyPair = nkeys.createAccount();
  const accountToken = (of: KeyPair, name: string, limits: object) =>
    token(operator, of.getPublicKey(), name, { type: 'account', limits });
  const { mem_storage: _memory, disk_storage: _disk, ...bare } = unlimited;
  return {
    lines: [
      `operator: ${token(operator, operator.getPublicKey(), 'operator', { type: 'operator' })}`,
      `system_account: ${system.getPublicKey()}`,
      'resolver: MEMORY',
      'resolver_preload: {',
      `  ${system.getPublicKey()}: ${accountToken(system, 'SYS', bare)}`,
      `  ${account.getPublicKey()}: ${accountToken(account, 'imagemesh', unlimited)}`,
      '}',
    ],
    creds: credentials(account),
    strangerCreds: credentials(stranger),
  };
}

function credentials(account: KeyPair): string {
  const user: KeyPair = nkeys.createUser();
  const jwt = token(account, user.getPublicKey(), 'gateway', { type: 'user', ...userLimits });
  const part = (what: string, text: string) => `-----BEGIN ${what}-----\n${text}\n------END ${what}------\n`;
  return `${part('NATS USER JWT', jwt)}\n${part('USER NKEY SEED', Buffer.from(user.getSeed()).toString())}`;
}

function token(issuer: KeyPair, subject: string, name: string, claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = {
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    name,
    sub: subject,
    nats: { ...claims, version: 2 },
  };
  const jti = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  const signed = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode({ ...body, jti })}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`;
}
