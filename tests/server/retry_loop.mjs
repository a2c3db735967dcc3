// The retry loop of Spidra's documentation, for Node: submit, poll until the batch is terminal, retry what failed.
//
//   node retry_loop.mjs HOW BASE_URL API_KEY POLL_MILLISECONDS URL…
//
// HOW is "careful" (the documented loop), "resubmits" (submits everything again in place of a retry) or "resends"
// (sends the submit again when its reply is lost). Prints the items as JSON.

const [how, base, key, poll, ...urls] = process.argv.slice(2);
const TERMINAL = new Set(["completed", "failed", "cancelled"]);
const ATTEMPTS = 3;

async function ask(method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: { "x-api-key": key, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${response.status}: ${(await response.json()).message}`);
  return response.json();
}

async function submit(wanted) {
  try {
    return (await ask("POST", "/batch/scrape", { urls: wanted })).batchId;
  } catch (error) {
    if (how !== "resends" || !(error instanceof TypeError)) throw error;
    return (await ask("POST", "/batch/scrape", { urls: wanted })).batchId;
  }
}

async function finished(batchId) {
  for (;;) {
    const batch = await ask("GET", `/batch/scrape/${batchId}`);
    if (TERMINAL.has(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, Number(poll)));
  }
}

let batchId = await submit(urls);
let batch = await finished(batchId);
for (let attempt = 1; attempt < ATTEMPTS && batch.failedCount > 0; attempt += 1) {
  if (how === "resubmits") batchId = await submit(urls);
  else await ask("POST", `/batch/scrape/${batchId}/retry`);
  batch = await finished(batchId);
}
console.log(JSON.stringify(batch.items));
