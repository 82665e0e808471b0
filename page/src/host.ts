// The page's own host: it feeds the studio from a WebSocket of the server that served the page.
import { render } from "./studio.js";
import { SocketModel } from "./transport";
import { decoded } from "./address";

const url = new URL("/ws", location.href);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const address = {
  read: () => location.hash.slice(1),
  write: (state: string) => history.replaceState(null, "", "#" + state),
};
const model = new SocketModel(url.href, address);
addEventListener("hashchange", () => {
  const text = decoded(address.read());
  if (text !== null) model.send({ type: "ask", text });
});
render({ model, el: document.body });
