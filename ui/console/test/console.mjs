// Staff at a browser: what browser_test.go starts is driven through Chromium, looked at with axe-core, and photographed.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const { CONSOLE, SHOTS, CHROMIUM, PROFILE, DESK_HAND } = process.env;
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let opened = 0;
const contexts = [];
const complaints = [];

// person opens a browser of their own.
async function person(language, viewport = { width: 1280, height: 900 }) {
  const context = await chromium.launchPersistentContext(path.join(PROFILE, String(opened++)), {
    executablePath: CHROMIUM,
    args,
    headless: true,
    ignoreHTTPSErrors: true,
    viewport,
    locale: language === "nl" ? "nl-NL" : "en-GB",
    timezoneId: "Europe/Amsterdam",
    bypassCSP: false,
  });
  contexts.push(context);
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(10000);
  page.on("pageerror", (e) => complaints.push(`error in the page: ${e}`));
  page.on("console", (m) => {
    if (m.type() === "error" && !/status of (401|404|409|429)/.test(m.text())) complaints.push(`console: ${m.text()}`);
  });
  await page.goto(CONSOLE);
  await page.evaluate((l) => localStorage.setItem("language", l), language);
  await page.reload();
  return page;
}

// hand has the simulated person at the desk do something.
async function hand(event) {
  const answer = await fetch(`${DESK_HAND}/v1/events`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ event }) });
  assert.ok(answer.ok, `${event}: ${answer.status}`);
}

// armed waits until the scanner at the desk waits for fingers and none are on it.
async function armed() {
  for (let i = 0; i < 300; i++) {
    const state = await (await fetch(`${DESK_HAND}/v1/state`)).json();
    if (state.scanner.armed && state.glass.length === 0) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("the scanner at the desk waits for nobody");
}

async function signIn(page, name, password = process.env[`PASSWORD_${name}`]) {
  await page.locator("#login").fill(name);
  await page.locator("#password").fill(password);
  await page.keyboard.press("Enter");
}

// accessible lets axe-core look at the page as it is. It is evaluated from outside, so the page's policy stays strict.
async function accessible(page, what) {
  if (!(await page.evaluate(() => "axe" in window))) {
    const { readFile } = await import("node:fs/promises");
    await page.evaluate(await readFile(axe, "utf8"));
  }
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const v of result.violations) {
    complaints.push(`axe, ${what}: ${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.html.slice(0, 160)} ${n.failureSummary ?? ""}`).join(" | ")}`);
  }
  console.log(`axe, ${what}: ${result.passes.length} rules pass, ${result.violations.length} violations`);
}

const shot = (page, name) => page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
const row = (page, number) => page.locator(`[data-ticket="${number}"]`);
const card = (page, name) => page.locator(`[data-station="${name}"]`);
const step = (text) => console.log(text);

async function run() {
  const one = await person("nl");
  await one.locator("#login").waitFor();
  await accessible(one, "sign-in");
  await shot(one, "01-sign-in");
  await signIn(one, "attendant", "not the password");
  await one.getByRole("alert").filter({ hasText: /./ }).waitFor();
  await shot(one, "02-sign-in-wrong");
  await signIn(one, "attendant");
  await one.getByRole("heading", { level: 1, name: "Kiosken en balies" }).waitFor();
  await card(one, "kiosk-01").waitFor();
  await card(one, "desk-01").waitFor();
  for (const name of ["kiosk-02", "kiosk-03"]) await card(one, name).waitFor();
  assert.equal(await one.locator(".card").count(), 4);
  await card(one, "kiosk-03").getByText(/Het licht komt hier van één kant/).waitFor();
  await accessible(one, "stations");
  await shot(one, "03-stations");
  step("signed in, stations seen");

  const cookies = await one.context().cookies();
  assert.ok(cookies.every((c) => c.httpOnly && c.secure && c.sameSite === "Strict"), "the cookie is guarded");
  assert.equal(await one.evaluate(() => document.cookie), "");

  await one.keyboard.press("Alt+2");
  await one.getByRole("heading", { level: 1, name: "Wachtrij" }).waitFor();
  await row(one, "A001").waitFor();
  assert.equal(await one.getByText("Ada Lovelace").count(), 0, "an attendant sees initials");
  await accessible(one, "queue");
  await shot(one, "04-queue");

  await row(one, "A002").getByRole("button", { name: /Zet apart/ }).click();
  await one.getByText("A002 is apart gezet.").waitFor();
  await shot(one, "05-parked");
  await one.keyboard.press("Alt+z");
  await one.getByText("A002: ongedaan gemaakt.").waitFor();
  await row(one, "A002").getByRole("button", { name: /Roep op/ }).waitFor();
  await row(one, "A003").getByRole("button", { name: /Zet apart/ }).click();
  await one.getByText("A003 is apart gezet.").waitFor();
  step("parked, taken back");

  const two = await person("en");
  await signIn(two, "attendant2");
  await two.getByRole("link", { name: /Queue/ }).click();
  await row(two, "A001").waitFor();
  for (const [page, button, where] of [
    [one, /Roep op/, "kiosk-02"],
    [two, /Call/, "kiosk-03"],
  ]) {
    await row(page, "A001").getByRole("button", { name: button }).first().click();
    await page.getByRole("dialog").getByRole("radio", { name: new RegExp(where) }).check();
  }
  await accessible(one, "call dialog");
  await shot(one, "06-call");
  await Promise.all([
    one.getByRole("dialog").getByRole("button", { name: "Roep op" }).click(),
    two.getByRole("dialog").getByRole("button", { name: "Call", exact: true }).click(),
  ]);
  const won = one.getByText(/A001 is opgeroepen bij kiosk-02/);
  const lost = two.getByText(/Already called at kiosk-02/);
  const wonTwo = two.getByText(/A001 was called to kiosk-03/);
  const lostOne = one.getByText(/Al opgeroepen bij kiosk-03/);
  await Promise.race([Promise.all([won.waitFor(), lost.waitFor()]), Promise.all([wonTwo.waitFor(), lostOne.waitFor()])]);
  const first = await won.isVisible();
  const [loser, winner] = first ? [two, "kiosk-02"] : [one, "kiosk-03"];
  await shot(loser, "07-called-elsewhere");
  await loser.keyboard.press("Escape");
  step(`two called A001: ${winner} has it, the other was told`);

  // One person's way, on the programs that ship: kiosk, help, a finger excepted, a desk, a record.
  const at = "kiosk-01";
  await row(one, "A004").getByRole("button", { name: /Roep op/ }).first().click();
  await one.getByRole("dialog").getByRole("radio", { name: /kiosk-01/ }).check();
  await one.getByRole("dialog").getByRole("button", { name: "Roep op" }).click();
  await one.getByText(/A004 is opgeroepen bij kiosk-01/).waitFor();

  await one.keyboard.press("Alt+1");
  await one.getByRole("heading", { level: 1, name: "Kiosken en balies" }).waitFor();
  // the photograph comes first: on a slow machine it takes a while
  await one.locator("[role=alert]", { hasText: `Hulp gevraagd bij ${at}` }).waitFor({ state: "attached", timeout: 90_000 });
  await one.locator(".wanted .card-help").waitFor();
  step("the person asks for help at the fingers");
  assert.match(await one.title(), /^\(1\)/);
  await accessible(one, "help wanted");
  await shot(one, "08-help-wanted");

  const clerk = await person("en");
  await signIn(clerk, "clerk");
  await card(clerk, at).waitFor();
  assert.equal(await clerk.locator(".ledger").count(), 0, "a municipal clerk sees no ledger");
  assert.equal(await clerk.getByText("A004").count(), 0, "nor whose it is");
  assert.equal(await card(clerk, at).getByRole("button").count(), 0, "nor a way to help");
  await clerk.getByRole("link", { name: /Queue/ }).click();
  await row(clerk, "B001").waitFor();
  assert.equal(await clerk.locator("[data-ticket]").count(), 1);
  assert.equal(await clerk.getByText("Fatou Diop").count(), 1);
  await accessible(clerk, "queue of a clerk");
  await shot(clerk, "09-clerk");
  step("a municipal clerk sees no ledger and only their own tickets");

  // Help, by keys alone.
  const help = card(one, at).getByRole("button", { name: /Help/ });
  await help.focus();
  await one.keyboard.press("Enter");
  const dialog = one.getByRole("dialog");
  await dialog.waitFor();
  await accessible(one, "help dialog");
  await shot(one, "10-help");
  const tabTo = async (locator, what) => {
    for (let i = 0; i < 60; i++) {
      if (await locator.evaluate((e) => e === document.activeElement)) return;
      await one.keyboard.press("Tab");
    }
    throw new Error(`${what} can't be reached by keys`);
  };
  await tabTo(dialog.getByRole("checkbox", { name: "rechterwijsvinger" }), "the finger");
  await one.keyboard.press("Space");
  await tabTo(dialog.getByRole("combobox", { name: "Reden" }), "the reason");
  await one.keyboard.press("o"); // "ontbreekt"
  await tabTo(dialog.getByRole("radio", { name: "Tijdelijk" }), "the duration");
  await one.keyboard.press("ArrowDown");
  await tabTo(dialog.getByRole("button", { name: "Uitzonderen" }), "the button");
  await one.keyboard.press("Enter");
  await one.locator("dialog .finger-missing").waitFor();
  await shot(one, "11-excepted");
  // The photograph is taken again, and the person goes on with that.
  await tabTo(dialog.getByRole("combobox", { name: "Wat" }), "what is captured again");
  assert.deepEqual(await dialog.locator("#recapture-step option").allTextContents(), ["Maak een keuze", "gezicht", "alles"], "only what is held");
  await one.keyboard.press("g");
  await tabTo(dialog.locator("#recapture-reason"), "the reason of a recapture");
  await one.keyboard.type("bril op");
  await accessible(one, "recapture");
  await shot(one, "11-recapture");
  await tabTo(dialog.getByRole("button", { name: "Opnieuw opnemen" }), "the recapture");
  await one.keyboard.press("Enter");
  step("a finger excepted and the photograph taken again, by keys");

  // The kiosk captures the other finger, the person approves, and the policy asks for a desk.
  await card(one, at).getByText("wordt vergeleken").waitFor({ timeout: 30000 });
  // the photograph comes first: on a slow machine it takes a while
  await one.locator("[role=alert]", { hasText: `Hulp gevraagd bij ${at}` }).waitFor({ state: "attached", timeout: 90_000 });
  await card(one, at).getByRole("button", { name: /Help/ }).focus();
  await one.keyboard.press("Enter");
  await dialog.waitFor();
  const target = dialog.getByRole("combobox", { name: "Verplaats naar" });
  assert.deepEqual(await target.locator("option").allTextContents(), ["Maak een keuze", "desk-01"], "only desks that are free");
  await accessible(one, "verifying dialog at the kiosk");
  await tabTo(target, "the desks");
  await one.keyboard.press("d");
  await tabTo(dialog.getByRole("button", { name: "Verplaats" }), "the move");
  await one.keyboard.press("Enter");
  await card(one, "desk-01").locator(".number", { hasText: "A004" }).waitFor();
  await shot(one, "12-at-the-desk");
  assert.equal(await card(one, at).locator(".number").count(), 0, "the kiosk is free");
  assert.equal(await card(one, "desk-01").locator(".finger-captured").count(), 1, "what was good has come along");
  assert.equal(await card(one, "desk-01").locator(".finger-owed").count(), 1, "the desk's policy asks for a finger instead");
  step("moved to the desk by keys");

  await card(one, "desk-01").getByRole("button", { name: /Help/ }).focus();
  await one.keyboard.press("Enter");
  await dialog.waitFor();
  await hand("by-hand");
  await tabTo(dialog.getByRole("button", { name: "Verder gaan" }), "to go on");
  await one.keyboard.press("Enter");

  // A finger that is worn is accepted by whoever sees its image.
  await card(one, "desk-01").getByText(/neemt op/).waitFor({ timeout: 30000 });
  await armed();
  await hand("present right-thumb dry");
  await armed(); // for the second attempt: the first is judged
  await card(one, "desk-01").getByRole("button", { name: /Help/ }).focus();
  await one.keyboard.press("Enter");
  await dialog.waitFor();
  await tabTo(dialog.locator("#accept-reason"), "the reason of an acceptance");
  await one.keyboard.type("versleten");
  await accessible(one, "accept");
  await shot(one, "12-accept");
  await tabTo(dialog.getByRole("button", { name: "Toch aanvaarden" }), "the acceptance");
  await one.keyboard.press("Enter");
  step("a worn finger accepted at the desk, by keys");
  await card(one, "desk-01").getByText(/De balie vergelijkt/).waitFor({ timeout: 30000 });
  await hand("by-itself");
  await hand("leave"); // there is time to look
  await card(one, "desk-01").getByRole("button", { name: /Help/ }).focus();
  await one.keyboard.press("Enter");
  await dialog.getByText(/[01] van 2 gelijk/).waitFor();
  await tabTo(dialog.getByRole("textbox", { name: "Reden" }).first(), "the reason of an override");
  await accessible(one, "verifying dialog at the desk");
  await shot(one, "12-verifying");
  await one.keyboard.press("Escape");
  await one.getByRole("button", { name: "Geef een code" }).focus();
  await one.keyboard.press("Enter");
  await one.getByText(/geldig tot/).waitFor();
  await accessible(one, "a code for a desk");
  await hand("look");
  await card(one, "desk-01").getByText("Niemand aan de beurt").waitFor({ timeout: 30000 });
  await one.getByText("Niemand vraagt hulp.").waitFor();
  step("verified and sealed at the desk");

  await one.keyboard.press("Alt+3");
  await one.getByLabel("Nummer of kenmerk").fill("a004");
  await one.keyboard.press("Enter");
  await one.locator('[data-fact="receipted"]').waitFor();
  await one.getByText("klaar", { exact: true }).waitFor();
  const facts = await one.locator("[data-fact]").evaluateAll((list) => list.map((e) => e.dataset.fact));
  for (const kind of ["issued", "called", "started", "ordered", "handed-over", "completed", "sealed", "receipted"]) {
    assert.ok(facts.includes(kind), `the chain has ${kind}: ${facts}`);
  }
  await accessible(one, "chain");
  await shot(one, "13-chain");
  step(`the chain: ${facts.join(", ")}`);

  const officer = await person("nl", { width: 400, height: 800 });
  await signIn(officer, "officer");
  await officer.getByRole("link", { name: /Wachtrij/ }).click();
  await row(officer, "A002").waitFor();
  assert.equal(await officer.getByText("Amina Yusuf").count(), 1, "an officer sees the name");
  assert.ok(await officer.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "a narrow page does not scroll sideways");
  await accessible(officer, "narrow queue");
  await shot(officer, "14-narrow");

  await card(one, "kiosk-01").count();
  await one.keyboard.press("Alt+1");
  await card(one, "kiosk-02").getByRole("button", { name: /Afsluiten/ }).click();
  await card(one, "kiosk-02").getByText("afgesloten", { exact: true }).waitFor();
  await one.getByText("kiosk-02 is afgesloten.").waitFor();
  await one.keyboard.press("Alt+z");
  await card(one, "kiosk-02").getByText("vrij", { exact: true }).waitFor();
  step("locked, taken back");

  await one.getByRole("button", { name: "Uitloggen" }).click();
  await one.locator("#login").waitFor();
  await one.goto(`${CONSOLE}/#/queue`);
  await one.reload();
  await one.locator("#login").waitFor();
  step("signed out");
}

try {
  await run();
} catch (e) {
  complaints.push(String(e?.stack ?? e));
  for (const [i, c] of contexts.entries()) await c.pages()[0]?.screenshot({ path: path.join(SHOTS, `failed-${i}.png`) }).catch(() => undefined);
}
for (const c of contexts) await c.close();
for (const c of complaints) console.error(c);
process.exit(complaints.length ? 1 : 0);
