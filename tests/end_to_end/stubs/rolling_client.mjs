// A stock client: @grpc/grpc-js with its default settings. Asks over and over again until its standard input is closed.
//
// usage: node rolling_client.mjs ADDRESS PROTO_FOLDER CLIENTS, and on the first line of input a request as JSON
//
// Prints "begun" when every client has its first answer; at the end, as JSON, how many calls were answered, how many
// reports were missing, and which calls failed.

import { createInterface } from "node:readline";

import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [address, includeDir, clients] = process.argv.slice(2);
const definition = loadSync("broker/v1/investigation.proto", { includeDirs: [includeDir], keepCase: true, enums: String });
const { InvestigationService } = loadPackageDefinition(definition).broker.v1;
const result = { answered: 0, missing: 0, failures: [] };
let isOver = false;

const input = createInterface({ input: process.stdin });
input.once("line", async (line) => {
  const request = JSON.parse(line);
  const courts = Array.from({ length: Number(clients) }, () => new Court(request));
  await Promise.all(courts.map((court) => court.ask()));
  console.log("begun");
  await Promise.all(courts.map((court) => court.keepAsking()));
  console.log(JSON.stringify(result));
});
input.once("close", () => { isOver = true; });

class Court {
  constructor(request) {
    const ownConnection = { "grpc.use_local_subchannel_pool": 1 };
    this.client = new InvestigationService(address, credentials.createInsecure(), ownConnection);
    this.request = request;
  }

  async keepAsking() {
    while (!isOver) await this.ask();
    this.client.close();
  }

  ask() {
    return new Promise((done) => {
      let missing = this.request.lookups.length;
      const call = this.client.Investigate(this.request, { deadline: Date.now() + 60_000 });
      call.on("data", (response) => { missing -= response.reports.length; });
      call.on("error", () => {}); // its status follows
      call.on("status", ({ code, details }) => {
        if (code) result.failures.push(`${code} ${details}`);
        else { result.answered += 1; result.missing += missing; }
        done();
      });
    });
  }
}
