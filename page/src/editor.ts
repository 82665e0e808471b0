// The query's editor: CodeMirror in a shadow root of its own, where its styles are constructable sheets, which the page's content
// security policy allows. Completion and carets come from the server.
import { CompletionContext, CompletionResult, acceptCompletion, autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, redo, redoDepth, undo, undoDepth } from "@codemirror/commands";
import { SQLDialect, sql } from "@codemirror/lang-sql";
import { syntaxHighlighting } from "@codemirror/language";
import { setDiagnostics } from "@codemirror/lint";
import { Annotation, EditorState, Transaction } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";
import { Problem } from "./protocol";
import { Studio } from "./state";

const FromServer = Annotation.define<boolean>();

const DIALECT = SQLDialect.define({
  keywords:
    "select from where join left anti on using budget error within at confidence second seconds millisecond milliseconds predict and or not " +
    "between in is create replace window view as drop show models inputs windows views describe set explain analyze format having order by " +
    "limit asc desc like null top percent for",
  builtin:
    "box circle nullify substitute scale rotate shift clip noise assign brightness contrast blur steps each score distance mass grid tile slic " +
    "pixels features tokens words sentences groups row col channel value feature position token word time depth frame part",
  operatorChars: "*+-%<>=~/|",
  hashComments: false,
  doubleQuotedStrings: false,
});

const THEME = EditorView.theme({
  "&": { backgroundColor: "transparent", color: "var(--ink)", fontSize: "13.5px" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--ink)", padding: "8px 4px", minHeight: "44px" },
  ".cm-scroller": { lineHeight: "1.55", maxHeight: "180px", overflow: "auto" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground, .cm-content ::selection": { backgroundColor: "var(--chosen)" },
  ".tok-keyword": { color: "var(--keyword)", fontWeight: "600" },
  ".tok-typeName, .tok-variableName2": { color: "var(--name)" },
  ".tok-string, .tok-string2": { color: "var(--text-literal)" },
  ".tok-number": { color: "var(--number)" },
  ".tok-comment": { color: "var(--soft)", fontStyle: "italic" },
  ".cm-placeholder": { color: "var(--soft)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "6px" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px", maxHeight: "14em" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--accent-ink)" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.7", marginLeft: "1em", fontStyle: "normal" },
  ".cm-diagnostic": { padding: "6px 10px", borderLeft: "3px solid var(--bad)" },
});

const KINDS: Record<string, string> = {
  keyword: "keyword",
  function: "function",
  model: "class",
  input: "variable",
  window: "namespace",
  class: "text",
  option: "property",
  column: "property",
};

/** What a selection is put between instead. */
const BRACKETS = "([{'\"";

/** A selection that is typed over goes first: the browser's own way writes an inline style, which the policy refuses. */
function typedOver(event: KeyboardEvent, view: EditorView): boolean {
  const typed = event.key.length === 1 && !BRACKETS.includes(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing;
  if (typed && !view.state.selection.main.empty) view.dispatch(view.state.replaceSelection(""), { userEvent: "delete.selection" });
  return false;
}

export class Editor {
  private readonly view: EditorView;

  constructor(
    host: HTMLElement,
    private readonly studio: Studio,
  ) {
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    const run = (action: () => void) => () => {
      action();
      return true;
    };
    // Without edits of its own the editor's Ctrl+Z is the studio's: it steps back to the query before.
    const back = (view: EditorView) => (this.studio.state.dirty && undoDepth(view.state) > 0 ? undo(view) : run(() => studio.undo())());
    const forth = (view: EditorView) => (redoDepth(view.state) > 0 ? redo(view) : run(() => studio.redo())());
    this.view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: studio.state.text,
        extensions: [
          keymap.of([
            { key: "Ctrl-Enter", mac: "Cmd-Enter", run: (view) => run(() => studio.ask(view.state.doc.toString()))(), preventDefault: true },
            { key: "Mod-z", run: back, preventDefault: true },
            { key: "Mod-y", mac: "Mod-Shift-z", run: forth, preventDefault: true },
            { key: "Mod-Shift-z", run: forth, preventDefault: true },
            { key: "Tab", run: acceptCompletion },
            ...completionKeymap,
            ...historyKeymap,
            ...defaultKeymap,
          ]),
          history(),
          closeBrackets(),
          sql({ dialect: DIALECT }),
          syntaxHighlighting(classHighlighter),
          autocompletion({ override: [(context) => this.complete(context)], icons: false }),
          EditorView.lineWrapping,
          EditorView.domEventHandlers({ keydown: typedOver }),
          EditorView.contentAttributes.of({ "aria-label": "Query. Ctrl+Enter asks, Escape then Tab leaves the editor" }),
          placeholder("select * from f(x)"),
          THEME,
          EditorView.updateListener.of((update) => {
            if (update.docChanged && !update.transactions.some((transaction) => transaction.annotation(FromServer)))
              studio.edited(update.state.doc.toString());
          }),
        ],
      }),
    });
  }

  destroy(): void {
    this.view.destroy();
  }

  focus(): void {
    this.view.focus();
  }

  /** The text as the server has it; only what differs is replaced, so that the cursor stays. */
  update(text: string, problem: Problem | null): void {
    const before = this.view.state.doc.toString();
    if (before !== text) {
      let start = 0;
      while (start < before.length && start < text.length && before[start] === text[start]) start++;
      let end = 0;
      while (end < before.length - start && end < text.length - start && before.at(-1 - end) === text.at(-1 - end)) end++;
      this.view.dispatch({
        changes: { from: start, to: before.length - end, insert: text.slice(start, text.length - end) },
        annotations: [FromServer.of(true), Transaction.addToHistory.of(false)],
      });
    }
    this.mark(problem);
  }

  private marked = "";

  private mark(problem: Problem | null): void {
    const length = this.view.state.doc.length;
    const now = JSON.stringify([problem, length]);
    if (now === this.marked) return;
    this.marked = now;
    const from = Math.min(problem?.start ?? 0, length);
    const to = Math.min(Math.max(problem?.end ?? length, from), length);
    const diagnostics = problem && problem.start != null ? [{ from, to, severity: "error" as const, message: problem.message }] : [];
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
  }

  private async complete(context: CompletionContext): Promise<CompletionResult | null> {
    if (!context.explicit && !context.matchBefore(/[\w'.]+$/) && !context.matchBefore(/[(,] ?$/)) return null;
    try {
      const { from, options } = await this.studio.complete(context.state.doc.toString(), context.pos);
      if (context.aborted || options.length === 0) return null;
      return {
        from,
        options: options.map(({ label, kind, detail }) => ({ label, type: KINDS[kind ?? ""] ?? "text", detail: detail ?? kind })),
        validFor: /^[\w'. ]*$/,
      };
    } catch {
      return null;
    }
  }
}
