"use strict";
// What the page does: it shows one item at a time, keeps each change in the browser at once, and saves all of them to a
// file. Texts of models and data become text nodes, never markup.

const byId = (id) => document.getElementById(id);
const { page, items, format, criteria, scale, equal, bothBad, cannotJudge } = JSON.parse(byId("data").textContent);
const words = JSON.parse(byId("words").textContent);
const STORED_AS = `minigpt ratings ${page}`;

// ---- What the rater has said so far

let state;
let stateAsStored; // its text as this window last read or wrote it

function newState() {
  const id = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { rater: { id, name: "" }, items: {}, at: 0, unsaved: false };
}

function nothingSaidOf(item) {
  const ratings = item.answers.map(({ id }) => [id, Object.fromEntries(criteria.map((name) => [name, null]))]);
  return { preference: null, ratings: Object.fromEntries(ratings), remark: "" };
}

const currentItem = () => items[state.at];
const choicesOf = (item) => [...item.answers.map(({ id }) => id), equal, bothBad, cannotJudge];

function isComplete(item) {
  const said = state.items[item.id];
  if (!said || (item.answers.length === 2 && said.preference === null)) return false;
  return Object.values(said.ratings).every((rating) => Object.values(rating).every((grade) => grade !== null));
}

// A state from its text, or null. The text may be damaged: only what the page could have written is taken from it.
function readState(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof found?.rater?.id !== "string" || !/^[0-9a-f]{32}$/.test(found.rater.id)) return null;
  const oneOf = (value, allowed) => (allowed.includes(value) ? value : null);
  const stringOr = (value, otherwise) => (typeof value === "string" ? value : otherwise);
  const read = newState();
  read.rater = { id: found.rater.id, name: stringOr(found.rater.name, "") };
  read.at = Number.isInteger(found.at) && items[found.at] ? found.at : 0;
  read.unsaved = found.unsaved === true;
  for (const item of items) {
    const said = found.items?.[item.id];
    if (!said) continue;
    const entry = (read.items[item.id] = nothingSaidOf(item));
    if (item.answers.length === 2) entry.preference = oneOf(said.preference, choicesOf(item));
    for (const [side, ratings] of Object.entries(entry.ratings)) {
      for (const name of criteria) ratings[name] = oneOf(said.ratings?.[side]?.[name], [...scale, cannotJudge]);
    }
    entry.remark = stringOr(said.remark, "");
  }
  return read;
}

// ---- Keeping it in the browser. Some browsers forbid that to a file: then a notice stays on the page.

function stored() {
  try {
    return localStorage.getItem(STORED_AS);
  } catch {
    return null;
  }
}

// Another window of this page may have stored more since: go on from there, so that neither overwrites the other.
function takeOverFromOtherWindow() {
  const text = stored();
  if (text === stateAsStored) return false;
  const read = readState(text);
  if (!read) return false;
  state = { ...read, at: state.at };
  stateAsStored = text;
  return true;
}

// Every change of the state goes through here.
function keep(change) {
  takeOverFromOtherWindow();
  change();
  const text = JSON.stringify(state);
  try {
    localStorage.setItem(STORED_AS, text);
    stateAsStored = text;
    byId("notice").hidden = true;
  } catch {
    byId("notice").hidden = false;
  }
}

function update(change) {
  keep(change);
  fill();
}

function say(change) {
  update(() => {
    change((state.items[currentItem().id] ??= nothingSaidOf(currentItem())));
    state.unsaved = true;
  });
}

// ---- Building an item

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const fillIn = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Both names of a side are in the page; the style shows the one that fits where the answers are.
function sideName(place, prefix = "") {
  const [beside, stacked] = [["left", "first"], ["right", "second"]][place];
  return [
    element("span", { class: "beside" }, words[prefix + beside]),
    element("span", { class: "stacked" }, words[prefix + stacked]),
  ];
}

const answerName = (place) => (currentItem().answers.length === 2 ? sideName(place, "answer_") : [words.answer]);

// Characters that do not show or that reorder others, each with repetitions of itself. Whole emoji come first: the
// joiners within them do show.
const EMOJI = String.raw`\p{ExtPict}\uFE0F?\p{EMod}?(?:\u200D\p{ExtPict}\uFE0F?\p{EMod}?)+`;
const HIDDEN = String.raw`(?![\n\t\uFE00-\uFE0F])([\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}])\1*`;
const HIDDEN_OR_EMOJI = new RegExp(`${EMOJI}|${HIDDEN}`, "gu");

const MOST_CODES = 500; // in one text: each takes the browser longer than a thousand letters

// A text's nodes: exactly its characters. The style writes the code of a hidden one before it, and isolates it. What
// follows after too many of them is isolated as a whole.
function textNodes(text) {
  const nodes = document.createDocumentFragment();
  const found = [...text.matchAll(HIDDEN_OR_EMOJI)].filter(([, hidden]) => hidden !== undefined);
  let end = 0;
  for (const { 0: all, 1: hidden, index } of found.slice(0, MOST_CODES)) {
    const code = `U+${hidden.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    const times = all.length / hidden.length;
    const label = times > 1 ? `${code} × ${times}` : code;
    nodes.append(text.slice(end, index), element("span", { class: "hidden", "data-code": label }, all));
    end = index + all.length;
  }
  const rest = text.slice(end);
  const label = fillIn(words.more_hidden, { n: found.length - MOST_CODES });
  nodes.append(found.length > MOST_CODES ? element("span", { class: "rest", "data-code": label }, rest) : rest);
  return nodes;
}

// `translate`: a browser that translates the page would change what is rated.
function textBox(text, headingId) {
  const attributes = { class: "text", dir: "auto", translate: "no", "data-heading": headingId };
  const box = element("div", attributes, textNodes(text));
  if (/\S/.test(text)) return [box];
  return [element("p", { class: "empty" }, text ? words.blank : words.empty), box];
}

function messageOf({ role, content }, place) {
  const heading = element("h4", { id: `message-${place}` }, words[`role_${role}`] ?? role);
  const look = role === "user" ? "message user" : "message";
  return element("div", { class: look }, heading, ...textBox(content, heading.id));
}

function radio(name, value, label, attributes = {}) {
  const input = element("input", { type: "radio", name, value, ...attributes });
  return element("label", { class: "option" }, input, element("span", {}, ...label));
}

function ratingGroup(answer, place, criterion) {
  const [name, worst, best] = [`${criterion}-${place}`, scale[0], scale.at(-1)];
  const end = (grade) => element("span", { id: `${name}-${grade}` }, words[`${criterion}_${grade}`]);
  const grades = scale.map((grade) => {
    const meaning = [worst, best].includes(grade) ? { "aria-describedby": `${name}-${grade}` } : {};
    return radio(name, grade, [grade], meaning);
  });
  return element(
    "fieldset",
    { "data-side": answer.id, "data-criterion": criterion },
    element("legend", {}, words[criterion], element("span", { class: "only-heard" }, ...answerName(place))),
    element(
      "div",
      { class: "scale" },
      element("div", { class: "grades" }, ...grades),
      element("div", { class: "ends" }, end(worst), end(best)),
    ),
    radio(name, cannotJudge, [words.cannot_judge]),
  );
}

function answerOf(answer, place) {
  const heading = element("h3", { id: `answer-${place}` }, ...answerName(place));
  const text = element("div", {}, ...textBox(answer.text, heading.id));
  const ratings = criteria.map((criterion) => ratingGroup(answer, place, criterion));
  return element("section", { class: "answer", "aria-labelledby": heading.id }, heading, text, ...ratings);
}

function choiceOf(item) {
  if (item.answers.length < 2) return "";
  const labels = [sideName(0), sideName(1), [words.equal], [words.both_bad], [words.cannot_judge]];
  const radios = choicesOf(item).map((value, place) => radio("preference", value, labels[place]));
  const legend = element("legend", {}, words.choice);
  return element("fieldset", {}, legend, element("div", { class: "choices" }, ...radios));
}

// ---- Showing it

function show(at) {
  keep(() => (state.at = at));
  const item = currentItem();
  document.body.classList.toggle("one-answer", item.answers.length === 1);
  byId("heading").textContent = fillIn(words.heading, { n: at + 1, all: items.length });
  byId("conversation").replaceChildren(...item.messages.map(messageOf));
  byId("answers").replaceChildren(...item.answers.map(answerOf));
  byId("choice").replaceChildren(choiceOf(item));
  byId("back").disabled = at === 0;
  tell("");
  fill();
  markScrolling();
}

// The controls as the state says.
function fill() {
  const done = items.filter(isComplete).length;
  byId("done").textContent = fillIn(words.done, { n: done, all: items.length });
  Object.assign(byId("bar"), { max: items.length, value: done });
  for (const group of groups()) {
    for (const input of group.querySelectorAll("input")) input.checked = input.value === String(saidIn(group));
  }
  const texts = { remark: state.items[currentItem().id]?.remark ?? "", name: state.rater.name };
  for (const [id, text] of Object.entries(texts)) if (byId(id).value !== text) byId(id).value = text;
  byId("unsaved").hidden = !state.unsaved;
}

// A text that scrolls must be reachable by keyboard, and then it needs a name.
function markScrolling() {
  for (const box of document.querySelectorAll(".text")) {
    const scrolls = box.scrollHeight > box.clientHeight;
    const attributes = { tabindex: 0, role: "region", "aria-labelledby": box.dataset.heading };
    for (const [name, value] of Object.entries(attributes)) {
      if (scrolls) box.setAttribute(name, value);
      else box.removeAttribute(name);
    }
  }
}

function tell(text, incomplete = 0) {
  byId("status").textContent = text;
  byId("incomplete").hidden = incomplete === 0;
}

function go(at) {
  if (at < 0) return;
  if (at === items.length) return end();
  show(at);
  scrollTo(0, 0);
  byId("heading").focus({ preventScroll: true });
}

function end() {
  const incomplete = items.filter((item) => !isComplete(item)).length;
  tell(incomplete ? fillIn(words.last_incomplete, { n: incomplete }) : words.last, incomplete);
  byId(state.rater.name.trim() ? "save" : "name").focus();
}

// ---- Groups of radio buttons, in the order of the page: each answer's criteria, then the choice

const groups = () => [...document.querySelectorAll("fieldset")];

function saidIn(group) {
  const said = state.items[currentItem().id];
  const { side, criterion } = group.dataset;
  return (criterion ? said?.ratings[side][criterion] : said?.preference) ?? null;
}

const focusOn = (group) => (group.querySelector("input:checked") ?? group.querySelector("input")).focus();

document.querySelector("main").addEventListener("change", ({ target }) => {
  if (target.type !== "radio") return;
  const { side, criterion } = target.closest("fieldset").dataset;
  const grade = Number(target.value) || target.value;
  say((entry) => (criterion ? (entry.ratings[side][criterion] = grade) : (entry.preference = target.value)));
});

function chooseByDigit(digit, focused) {
  const group = focused.closest("fieldset") ?? groups().find((each) => saidIn(each) === null);
  if (!group) return;
  const isChoice = !group.dataset.criterion;
  const value = digit === "0" ? cannotJudge : isChoice ? "" : digit;
  group.querySelector(`input[value="${value}"]`)?.click();
  focusOn((!isChoice && groups()[groups().indexOf(group) + 1]) || group);
}

// ---- The keyboard

// Some layouts have other letters on the digits' keys, the Vietnamese one among them.
function digitOf({ key, code, shiftKey }) {
  if (/^[0-5]$/.test(key)) return key;
  return shiftKey ? undefined : /^Digit([0-5])$/.exec(code)?.[1];
}

document.addEventListener("keydown", (event) => {
  const { key, target, repeat } = event;
  const inRemark = target.id === "remark";
  const composing = event.isComposing || event.keyCode === 229; // Safari ends a composition before its last key
  if (composing || event.altKey || event.metaKey || (event.ctrlKey && !(inRemark && key === "Enter"))) return;
  if (key === "Enter") {
    if ((inRemark && !event.ctrlKey) || (!repeat && target.closest("button, summary"))) return;
    // Held down it counts once, also on a button that has got the focus since.
    if (!repeat && target.id === "name") save();
    else if (!repeat) go(state.at + (event.shiftKey ? -1 : 1));
  } else if (inRemark || target.id === "name") {
    return;
  } else if (target.name === "preference" && (key === "ArrowLeft" || key === "ArrowRight")) {
    const chosen = target.closest("fieldset").querySelectorAll("input")[key === "ArrowLeft" ? 0 : 1];
    chosen.click();
    chosen.focus();
  } else if (digitOf(event)) {
    if (!repeat) chooseByDigit(digitOf(event), target);
  } else {
    return;
  }
  event.preventDefault();
});

// ---- Saving to a file

function fileName(name) {
  const forbidden = /[\\/:*?"<>|\p{C}\p{Zl}\p{Zp}]+/gu;
  const allowed = name.normalize("NFC").replace(forbidden, "-").replace(/^[-. ]+|[-. ]+$/g, "");
  return `ratings-${[...allowed].slice(0, 60).join("") || "rater"}.json`;
}

function save() {
  const name = byId("name");
  const missing = !name.value.trim();
  name.setAttribute("aria-invalid", missing);
  if (missing) {
    tell(words.name_missing);
    name.focus();
    return;
  }
  update(() => (state.unsaved = false));
  const rater = { id: state.rater.id, name: state.rater.name.trim() };
  const content = JSON.stringify({ format, page, rater, items: state.items }, null, 1);
  const link = element("a", { download: fileName(rater.name) });
  link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  const incomplete = items.filter((item) => !isComplete(item)).length;
  const left = incomplete ? ` ${fillIn(words.incomplete, { n: incomplete })}` : "";
  tell(fillIn(words.saved, { file: link.download }) + left, incomplete);
}

function startOver() {
  if (!confirm(state.unsaved ? words.start_over_unsaved : words.start_over)) return;
  keep(() => (state = newState()));
  go(0);
}

// ---- Events

// The second click of a double click does nothing: it would skip an item, or save twice.
const onClick = (id, action) => byId(id).addEventListener("click", ({ detail }) => detail < 2 && action());

byId("remark").addEventListener("input", ({ target }) => say((entry) => (entry.remark = target.value)));
byId("name").addEventListener("input", ({ target }) => {
  target.removeAttribute("aria-invalid");
  update(() => Object.assign(state, { rater: { ...state.rater, name: target.value }, unsaved: true }));
});
onClick("back", () => go(state.at - 1));
onClick("next", () => go(state.at + 1));
onClick("save", save);
onClick("another", startOver);
onClick("incomplete", () => go(items.findIndex((item) => !isComplete(item))));

addEventListener("resize", markScrolling);
addEventListener("storage", () => {
  if (!takeOverFromOtherWindow()) return;
  fill();
  tell(words.other_window);
});
addEventListener("beforeunload", (event) => {
  if (!state.unsaved) return;
  event.preventDefault();
  event.returnValue = true; // for older browsers
});

stateAsStored = stored();
state = readState(stateAsStored) ?? newState();
byId("page").hidden = false;
show(state.at);
