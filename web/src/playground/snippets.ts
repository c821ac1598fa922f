/** The call of the playground in other languages, ready to run in a folder with the image. Pure. */
import type { JsonObject } from '@bufbuild/protobuf';

export interface SnippetCall {
  /** http://host:port of the gateway. */
  readonly origin: string;
  /** The file's name, as it was opened. */
  readonly filename: string;
  /** Of the stored image: then no file is read. */
  readonly imageId: string | undefined;
  /** `operations` and `output`, as Protobuf's JSON has them. */
  readonly json: JsonObject;
  /** The same in the operation syntax of URLs; undefined where that cannot say it. */
  readonly ops: string | undefined;
  /** What the result is to be called. */
  readonly resultName: string;
  readonly apiKey: boolean;
}

export const SNIPPETS = {
  curl: { name: 'curl', make: curl },
  grpcurl: { name: 'grpcurl', make: grpcurl },
  typescript: { name: 'TypeScript', make: typescript },
  python: { name: 'Python', make: python },
} as const;

export type SnippetKind = keyof typeof SNIPPETS;

/** In one line where the pipeline can be said in a URL. */
function curl(call: SnippetCall): string {
  const { origin, filename, ops, resultName, apiKey } = call;
  const key = apiKey ? ' -H "Authorization: Bearer $IMAGEMESH_KEY"' : '';
  if (ops !== undefined) {
    const url = `${origin}/transform${ops === '' ? '' : `?ops=${queryText(ops)}`}`;
    return `curl -sS --fail-with-body${key} --data-binary @${quote(filename)} ${quote(url)} -o ${quote(resultName)}`;
  }
  return `${body(call)} |
  curl -sS --fail-with-body -H 'Content-Type: application/json'${key} -d @- \\
    ${quote(`${origin}/imagemesh.v1.ImageService/Transform`)} |
  ${decode(call)}`;
}

/** What a path may hold, in a query: as readable as can be. */
function queryText(ops: string): string {
  return ops.replaceAll('%', '%25').replaceAll('+', '%2B');
}

function grpcurl(call: SnippetCall): string {
  const key = call.apiKey ? ' -H "Authorization: Bearer $IMAGEMESH_KEY"' : '';
  const { host, protocol } = new URL(call.origin);
  const plain = protocol === 'http:' ? ' -plaintext' : '';
  return `${body(call)} |
  grpcurl${plain}${key} -d @ ${host} imagemesh.v1.ImageService/Transform |
  ${decode(call)}`;
}

/** The image goes in as a base64 file: as an argument, the shell would refuse what is large. */
function body({ imageId, filename, json }: SnippetCall): string {
  const rest = JSON.stringify(json).slice(1, -1);
  const tail = rest === '' ? '' : `, ${rest}`;
  if (imageId !== undefined) return `printf '%s' ${quote(`{"source": {"imageId": "${imageId}"}${tail}}`)}`;
  return `{ printf '{"source": {"data": "'; base64 < ${quote(filename)} | tr -d '\\n'; printf '%s' ${quote(`"}${tail}}`)}; }`;
}

function decode({ resultName }: SnippetCall): string {
  return `sed -n 's/.*"data": *"\\([^"]*\\)".*/\\1/p' | base64 -d > ${quote(resultName)}`;
}

function typescript({ origin, filename, imageId, json, resultName, apiKey }: SnippetCall): string {
  const source =
    imageId === undefined
      ? `{ data: (await readFile(${JSON.stringify(filename)})).toString('base64') }`
      : `{ imageId: ${JSON.stringify(imageId)} }`;
  const reads = imageId === undefined ? 'readFile, writeFile' : 'writeFile';
  const key = apiKey ? ",\n    Authorization: 'Bearer ' + process.env.IMAGEMESH_KEY" : '';
  return `import { ${reads} } from 'node:fs/promises';

const response = await fetch(${JSON.stringify(`${origin}/imagemesh.v1.ImageService/Transform`)}, {
  method: 'POST',
  headers: {
    'Content-Type': 'application/json'${key},
  },
  body: JSON.stringify({
    source: ${source},
    ...${JSON.stringify(json)},
  }),
});
const reply = (await response.json()) as { data: string; message?: string };
if (!response.ok) throw new Error(reply.message);
await writeFile(${JSON.stringify(resultName)}, Buffer.from(reply.data, 'base64'));
`;
}

function python({ origin, filename, imageId, json, resultName, apiKey }: SnippetCall): string {
  const source =
    imageId === undefined
      ? `{"data": base64.b64encode(open(${JSON.stringify(filename)}, "rb").read()).decode()}`
      : `{"imageId": ${JSON.stringify(imageId)}}`;
  const key = apiKey ? ', "Authorization": "Bearer " + os.environ["IMAGEMESH_KEY"]' : '';
  return `import base64, json${apiKey ? ', os' : ''}, urllib.request

call = json.loads(${pythonText(JSON.stringify(json))})
call["source"] = ${source}
request = urllib.request.Request(
    ${JSON.stringify(`${origin}/imagemesh.v1.ImageService/Transform`)},
    data=json.dumps(call).encode(),
    headers={"Content-Type": "application/json"${key}},
)
reply = json.load(urllib.request.urlopen(request))
open(${JSON.stringify(resultName)}, "wb").write(base64.b64decode(reply["data"]))
`;
}

/** One argument of a POSIX shell, whatever it holds. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** JSON's escapes are Python's too. */
function pythonText(text: string): string {
  return JSON.stringify(text);
}
