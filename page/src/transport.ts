// What carries messages. The page speaks over a WebSocket, a notebook over its comm: both are a Model, which is the part of
// anywidget's model that the studio uses.
import { Json, split } from "./protocol";

export type Receiver = (message: Json, buffers: DataView[]) => void;

export interface Model {
  send(message: Json): void;
  on(event: "msg:custom", receive: Receiver): void;
  /** Where the state is kept for sharing; a page has its address, a notebook has none. */
  address?: { read(): string; write(state: string): void };
}

const TAKEN_OVER = 4001;

/** A Model over a WebSocket that comes back by itself. It says `{type: "connection", open}` to its receivers. */
export class SocketModel implements Model {
  private socket: WebSocket | null = null;
  private receivers: Receiver[] = [];
  private waiting: string[] = [];
  private pause = 250;

  constructor(
    private readonly url: string,
    readonly address: { read(): string; write(state: string): void },
  ) {
    this.open();
  }

  on(_event: "msg:custom", receive: Receiver): void {
    this.receivers.push(receive);
  }

  send(message: Json): void {
    const text = JSON.stringify(message);
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
    else if (message.type !== "hello" && this.waiting.length < 100) this.waiting.push(text);
  }

  private tell(message: Json, buffers: DataView[] = []): void {
    for (const receive of this.receivers) receive(message, buffers);
  }

  private open(): void {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.socket = socket;
      this.pause = 250;
      this.tell({ type: "connection", open: true });
      for (const text of this.waiting.splice(0)) socket.send(text);
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.tell(JSON.parse(event.data) as Json);
      else this.tell(...split(event.data as ArrayBuffer));
    };
    socket.onclose = (event) => {
      this.socket = null;
      this.tell({ type: "connection", open: false, taken: event.code === TAKEN_OVER });
      if (event.code === TAKEN_OVER) return;
      setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(this.pause * 2, 4000);
    };
  }
}
