// A client made of ts-proto's stubs and @grpc/grpc-js: one Investigate, whose result is printed as JSON.
//
// usage: node grpc_js_client.js ADDRESS TIMEOUT_MS REQUEST (an InvestigateRequest, in base64)

import { credentials, type ServiceError } from "@grpc/grpc-js";

import { InvestigateRequest, InvestigateResponse, InvestigationServiceClient } from "./ts_proto/broker/v1/investigation.js";
import { BadRequest, RetryInfo } from "./ts_proto/google/rpc/error_details.js";
import { Status } from "./ts_proto/google/rpc/status.js";

const [address, timeout, request] = process.argv.slice(2) as [string, string, string];
const client = new InvestigationServiceClient(address, credentials.createInsecure());
const call = client.investigate(InvestigateRequest.decode(Buffer.from(request, "base64")), {
  deadline: Date.now() + Number(timeout),
});
const responses: string[] = [];
const result = { responses, code: 0, violations: {} as Record<string, string>, retryAfter: null as number | null };

call.on("data", (response: InvestigateResponse) => {
  responses.push(Buffer.from(InvestigateResponse.encode(response).finish()).toString("base64"));
});
call.on("error", (error: ServiceError) => {
  result.code = error.code;
  for (const encoded of error.metadata.get("grpc-status-details-bin")) {
    for (const detail of Status.decode(encoded as Buffer).details) {
      if (detail.typeUrl.endsWith("/google.rpc.BadRequest")) {
        for (const { field, description } of BadRequest.decode(detail.value).fieldViolations) {
          result.violations[field] = description;
        }
      } else if (detail.typeUrl.endsWith("/google.rpc.RetryInfo")) {
        const { seconds, nanos } = RetryInfo.decode(detail.value).retryDelay!;
        result.retryAfter = seconds + nanos / 1e9;
      }
    }
  }
});
call.on("close", () => {
  console.log(JSON.stringify(result));
  client.close();
});
