import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeshError } from './errors.ts';
import { decodeGrpcMessage, encodeGrpcMessage, errorFromTrailers, statusTrailers } from './grpc-status.ts';

describe('a grpc-message', () => {
  it('is printable ASCII, and comes back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (message) => {
        const encoded = encodeGrpcMessage(message);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeGrpcMessage(encoded)).toBe(Buffer.from(message).toString());
      }),
    );
  });

  it('with damaged escapes stays readable', () => {
    expect(decodeGrpcMessage('100%, %zz %C3%BC')).toBe('100%, %zz ü');
  });
});

describe('an error as trailers', () => {
  it('comes back whole', () => {
    const error = new MeshError('INVALID_REQUEST', 'größe: zu groß\n', {
      metadata: { limit: '9' },
      violations: [{ field: 'a[0].b', description: 'zu groß' }],
    });
    const trailers = statusTrailers(error);
    expect(trailers).toMatchObject({ 'grpc-status': '3', 'im-reason': 'INVALID_REQUEST' });
    expect(errorFromTrailers(trailers)).toMatchObject({
      reason: 'INVALID_REQUEST',
      message: 'größe: zu groß\n',
      metadata: { limit: '9' },
      violations: error.violations,
    });
  });

  it('stays small enough for any client', () => {
    const violations = Array.from({ length: 500 }, (_, i) => ({
      field: `f${i}`,
      description: 'x'.repeat(100),
    }));
    const trailers = statusTrailers(new MeshError('INVALID_REQUEST', '€'.repeat(100_000), { violations }));
    expect(JSON.stringify(trailers).length).toBeLessThan(8192);
    expect(errorFromTrailers(trailers)).toMatchObject({ reason: 'INVALID_REQUEST' });
  });

  it('of a foreign server is the nearest that the mesh has', () => {
    expect(errorFromTrailers({ 'grpc-status': '0' })).toBeUndefined();
    expect(errorFromTrailers({ 'grpc-status': '14', 'grpc-message': 'gone' })).toMatchObject({
      code: 'unavailable',
      message: 'gone',
    });
    expect(errorFromTrailers({ 'grpc-status': '13' })).toMatchObject({ reason: 'INTERNAL' });
    expect(errorFromTrailers({ 'grpc-status': 'x' })).toMatchObject({ reason: 'INTERNAL' });
    expect(errorFromTrailers({ 'grpc-status': '5', 'grpc-status-details-bin': '!!!' })).toBeInstanceOf(
      MeshError,
    );
  });
});
