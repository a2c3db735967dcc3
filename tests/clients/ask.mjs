// Sends requests one after the other and prints what came of each: a status, or a word for the break.
//
//   node ask.mjs API_KEY SECONDS '[["GET", "http://…", null], …]'

const [key, patience, asked] = process.argv.slice(2);
const seen = [];

for (const [method, url, body] of JSON.parse(asked)) {
  let response = null;
  try {
    response = await fetch(url, {
      method,
      headers: { "x-api-key": key, "content-type": "application/json" },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(1000 * patience),
    });
    await response.arrayBuffer();
    seen.push(response.status);
  } catch (error) {
    if (response) seen.push("cut");
    else seen.push(error.name === "TimeoutError" ? "timeout" : error.cause.code);
  }
}

console.log(JSON.stringify(seen));
