// A client made of protoc-gen-es' stubs and Connect's gRPC transport: one Investigate, whose result is printed as JSON.
//
// usage: node connect_client.js ADDRESS TIMEOUT_MS REQUEST (an InvestigateRequest, in base64)

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { InvestigateRequestSchema, InvestigateResponseSchema, InvestigationService } from "./es/broker/v1/investigation_pb.js";
import { BadRequestSchema, RetryInfoSchema } from "./es/google/rpc/error_details_pb.js";

const [address, timeout, request] = process.argv.slice(2) as [string, string, string];
const client = createClient(InvestigationService, createGrpcTransport({ baseUrl: `http://${address}` }));
const responses: string[] = [];
const result = { responses, code: 0, violations: {} as Record<string, string>, retryAfter: null as number | null };

try {
  const decoded = fromBinary(InvestigateRequestSchema, Buffer.from(request, "base64"));
  for await (const response of client.investigate(decoded, { timeoutMs: Number(timeout) })) {
    responses.push(Buffer.from(toBinary(InvestigateResponseSchema, response)).toString("base64"));
  }
} catch (reason) {
  const error = ConnectError.from(reason);
  result.code = error.code;
  for (const { field, description } of error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations)) {
    result.violations[field] = description;
  }
  for (const { retryDelay } of error.findDetails(RetryInfoSchema)) {
    result.retryAfter = Number(retryDelay!.seconds) + retryDelay!.nanos / 1e9;
  }
}
console.log(JSON.stringify(result));
