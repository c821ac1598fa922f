import { WorkerKind } from '@imagemesh/api';
import { remainingMs } from '@imagemesh/rpc';
import { describe, expect, it } from 'vitest';
import { readCallInfo } from './call-info.ts';

const read = (headers: Record<string, string>) => readCallInfo(headers, WorkerKind.RESIZE, 30_000);

describe('readCallInfo', () => {
  it('reads what the gateway said', () => {
    const info = read({
      ':path': '/imagemesh.v1.ResizeService/Resize',
      'grpc-timeout': '2S',
      'x-request-id': 'r1',
      'im-op': 'resize, crop,resize',
      'im-cost': '12.5',
      'im-class': 'job',
      'im-age-ms': '40.5',
      'im-store': 's1',
    });
    expect(info).toMatchObject({
      path: '/imagemesh.v1.ResizeService/Resize',
      requestId: 'r1',
      callClass: 'job',
      cost: { saidMs: 12.5 },
      ageMs: 40.5,
      needs: { worker: WorkerKind.RESIZE, operations: ['crop', 'resize'], storeId: 's1' },
    });
    expect(remainingMs(info.deadline)).toBeGreaterThan(1900);
    expect(remainingMs(info.deadline)).toBeLessThanOrEqual(2000);
  });

  it('makes sane guesses without metadata, and from nonsense', () => {
    for (const headers of [
      {},
      { 'im-cost': '-1', 'im-class': 'urgent', 'im-age-ms': '-3', 'grpc-timeout': 'soon' },
    ]) {
      const info = read(headers);
      expect(info).toMatchObject({
        callClass: 'default',
        cost: { saidMs: undefined },
        ageMs: 0,
        needs: { operations: [], storeId: undefined },
      });
      expect(remainingMs(info.deadline)).toBeGreaterThan(29_000);
      expect(info.requestId).toMatch(/^[0-9a-f]{32}$/);
    }
  });

  it('bounds what it is told', () => {
    const info = read({
      'im-cost': '999999999',
      'grpc-timeout': '99999999H',
      'im-op': Array.from({ length: 100 }, (_, at) => `operation${at}`).join(','),
    });
    expect(info.cost.saidMs).toBe(600_000);
    expect(info.needs.operations).toHaveLength(32);
    expect(remainingMs(info.deadline)).toBeLessThanOrEqual(86_400_000);
  });
});
