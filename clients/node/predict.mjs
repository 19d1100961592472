// Calls an inference node from Node: readiness, metadata, a prediction, a stream of predictions, and a failure.
//
//   npm ci && node predict.mjs localhost:8001 digits
//
// The stubs are made from the contract when the program starts; nothing is generated. Prints one JSON document.

import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("../../protos/inference/open_inference.proto", import.meta.url));

/** Returns a client of the node at `host:port`, with a promise for each unary method. */
export function connect(address) {
  const definition = protoLoader.loadSync(PROTO, { keepCase: true, longs: String, defaults: true, oneofs: true });
  const { inference } = grpc.loadPackageDefinition(definition);
  const client = new inference.GRPCInferenceService(address, grpc.credentials.createInsecure());
  const call = (method) => (request) =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + 10_000;
      client[method](request, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  return {
    close: () => client.close(),
    infer: call("ModelInfer"),
    metadata: call("ModelMetadata"),
    ready: call("ModelReady"),
    stream: () => client.ModelStreamInfer(),
  };
}

/** Returns a request for one batch of FP32 rows. */
export function requestOf(model, input, rows, id) {
  const elements = Float32Array.from(rows.flat());
  return {
    model_name: model,
    id,
    inputs: [{ name: input, datatype: "FP32", shape: [rows.length, rows[0].length] }],
    raw_input_contents: [Buffer.from(elements.buffer)],
  };
}

/** Returns the outputs of an answer by name, numbers of INT64 and FP32 outputs as arrays. */
export function outputsOf(answer) {
  const readers = {
    INT64: (data) => Array.from(new BigInt64Array(data), Number),
    FP32: (data) => Array.from(new Float32Array(data)),
  };
  return Object.fromEntries(
    answer.outputs.map((output, index) => {
      const raw = answer.raw_output_contents[index];
      const aligned = raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length);
      return [output.name, readers[output.datatype](aligned)];
    }),
  );
}

/** Sends requests on one stream and returns its answers, in order. */
export function exchange(client, requests) {
  return new Promise((resolve, reject) => {
    const answers = [];
    const stream = client.stream();
    stream.on("data", (answer) => answers.push(answer));
    stream.on("error", reject);
    stream.on("end", () => resolve(answers));
    for (const request of requests) stream.write(request);
    stream.end();
  });
}

async function main(address, model) {
  const client = connect(address);
  try {
    const { ready } = await client.ready({ name: model });
    const metadata = await client.metadata({ name: model });
    const [input] = metadata.inputs;
    const width = Number(input.shape.at(-1));
    const rows = Array.from({ length: 3 }, (_, row) => Array.from({ length: width }, (_, column) => (row + column) % 3));
    const answer = await client.infer(requestOf(model, input.name, rows, "single"));
    const requests = rows.map((row, index) => requestOf(model, input.name, [row], `row-${index}`));
    const streamed = await exchange(client, [...requests, requestOf("unknown", input.name, rows, "wrong")]);
    const failure = await client.infer(requestOf("unknown", input.name, rows, "wrong")).catch((error) => error);
    const document = {
      ready,
      rows,
      version: answer.model_version,
      prediction_id: answer.parameters.prediction_id.string_param,
      digest: answer.parameters.digest.string_param,
      outputs: outputsOf(answer),
      streamed: streamed.map(({ error_message, infer_response }) => ({
        id: infer_response.id,
        error: error_message,
        outputs: error_message ? {} : outputsOf(infer_response),
      })),
      failure: { code: failure.code, message: failure.details },
    };
    console.log(JSON.stringify(document));
  } finally {
    client.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [address, model] = process.argv.slice(2);
  if (!model) {
    console.error("usage: node predict.mjs HOST:PORT MODEL");
    process.exit(2);
  }
  await main(address, model);
}
