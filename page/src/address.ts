// The state of a studio as the part of an address after #: q=<base64url of {text, seed} as JSON>.

export function encoded(text: string, seed: number | null): string {
  const bytes = new TextEncoder().encode(JSON.stringify({ text, seed }));
  const letters = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return "q=" + letters.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The query's text, or null where the address holds none. */
export function decoded(state: string): string | null {
  const found = /(?:^|&)q=([\w-]+)/.exec(state);
  if (!found) return null;
  try {
    const letters = atob(found[1].replaceAll("-", "+").replaceAll("_", "/"));
    const { text } = JSON.parse(new TextDecoder().decode(Uint8Array.from(letters, (letter) => letter.charCodeAt(0))));
    return typeof text === "string" ? text : null;
  } catch {
    return null;
  }
}
