/* Search: a page that answers a question comes before the notebooks, commands and docstrings that mention it. */
const MENTIONS = /^(generated\/(notebooks|commands)|reference\/|changes$|contributing$|notebooks$)/;
var Scorer = {
  score: ([docname, , , , score, , kind]) =>
    kind === "object" ? score / 2 : MENTIONS.test(docname) ? score / 3 : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
