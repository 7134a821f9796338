// The page asks the product's own API, through the proxy, which turns the session's cookie into the credential.
const one = (id) => document.getElementById(id);

async function get(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  return { status: response.status, body: await response.json() };
}

const { status, body } = await get("/api/dashboard");
if (status === 401) {
  one("status").textContent = "You are not signed in.";
  one("signin").hidden = false;
} else if (status !== 200) {
  one("status").textContent = body.detail ?? "It does not work now.";
  one("signin").hidden = false;
} else {
  one("status").hidden = true;
  one("inside").hidden = false;
  for (const [name, value] of Object.entries(body)) {
    const term = document.createElement("dt");
    term.textContent = name.replaceAll("_", " ");
    const data = document.createElement("dd");
    data.textContent = value;
    one("dashboard").append(term, data);
  }
  const list = await get("/api/endpoints");
  for (const endpoint of list.body.data ?? []) {
    const item = document.createElement("li");
    item.textContent = endpoint.name + (endpoint.owner_left ? " (its owner has left)" : "");
    one("endpoints").append(item);
  }
}
