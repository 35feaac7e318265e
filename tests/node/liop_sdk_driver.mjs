// SPDX-License-Identifier: Apache-2.0
//
// Has the public client of LIOP make visits, as any program that uses it would: one client, all calls at once, and what
// each came to as a JSON list on stdout.
//
//   node liop_sdk_driver.mjs TASK       in a directory of its own: the client keeps its identity in the current one
//
// TASK is JSON: {"sdk": directory, "address", "token"?, "tls"?: {"rootCert", "certChain"?, "privateKey"?},
//                "calls": [{"capability", "module"?: file, "arguments": {…}}, …]}
import { createHash } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

const task = JSON.parse(process.argv[2]);
const { LiopClient } = await import(pathToFileURL(`${task.sdk}/dist/client.js`));

async function visit(client, call) {
  try {
    const module = call.module ? readFileSync(call.module) : undefined;
    const answer = await client.callTool({ name: call.capability, arguments: call.arguments }, module);
    const text = answer.content[0].text;
    return {
      isError: answer.isError,
      bytes: Buffer.byteLength(text),
      sha256: createHash("sha256").update(text).digest("hex"),
      start: text.slice(0, 500),
    };
  } catch (error) {
    return { thrown: String(error.message ?? error), code: error.code ?? null };
  }
}

const client = new LiopClient(task.tls);
await client.connect(task.address, { auth: task.token ? { token: task.token } : {}, meshConfig: {} });
const results = await Promise.all(task.calls.map((call) => visit(client, call)));
writeSync(1, `\nresults ${JSON.stringify(results)}\n`);
await client.close();
process.exit(0);
