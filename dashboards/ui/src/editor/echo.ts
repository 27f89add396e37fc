// What an editor tells its page and what the page tells it back.

/**
 * Tells the echo of what was typed from a text that someone else set. The page answers each text a little later; by then
 * more may have been typed, and to take the echo for news would take that away.
 */
export class Echo {
  private told: string[] = [];

  /** The editor told the page a text. */
  tell(text: string) {
    this.told.push(text);
  }

  /** Whether the page's text is an answer to what was told; older ones will not come any more. */
  isEcho(text: string): boolean {
    const at = this.told.lastIndexOf(text);
    this.told = at < 0 ? [] : this.told.slice(at + 1);
    return at >= 0;
  }
}
