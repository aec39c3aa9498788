// What was probably meant: the candidate with the smallest edit distance to a misspelt word (Damerau-Levenshtein, optimal
// string alignment: insertion, deletion, replacement and a swap of neighbours cost 1; letter case costs nothing).
// clang: -Oz

/** The candidate closest to `word`, or "" when none is close: at most a third of its letters wrong. */
export function closest(word: string, candidates: Array<string>): string {
  let best = "";
  let least = i32.MAX_VALUE;
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i];
    const allowed = max(1, candidate.length / 3);
    if (abs(candidate.length - word.length) > allowed) continue;
    const d = distance(word.toLowerCase(), candidate.toLowerCase());
    if (d <= allowed && d < least) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

function distance(a: string, b: string): i32 {
  const columns = b.length + 1;
  let before = new StaticArray<i32>(columns);
  let above = new StaticArray<i32>(columns);
  let row = new StaticArray<i32>(columns);
  for (let j = 0; j < columns; j++) above[j] = j;
  for (let i = 1; i <= a.length; i++) {
    row[0] = i;
    for (let j = 1; j < columns; j++) {
      const same = a.charCodeAt(i - 1) == b.charCodeAt(j - 1);
      let d = min(above[j] + 1, min(row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)));
      if (i > 1 && j > 1 && a.charCodeAt(i - 1) == b.charCodeAt(j - 2) && a.charCodeAt(i - 2) == b.charCodeAt(j - 1)) {
        d = min(d, before[j - 2] + 1);
      }
      row[j] = d;
    }
    const spare = before;
    before = above;
    above = row;
    row = spare;
  }
  return above[columns - 1];
}
