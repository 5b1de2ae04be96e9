// Lines in which events wait for their turn: the next one goes when the answer to the one before it is there.
const lines = {};
window.studioLine = {
  async enter(name) {
    const line = (lines[name] ??= []);
    const before = line.at(-1);
    const turn = {};
    turn.over = new Promise((done) => { turn.end = done; });
    line.push(turn);
    await before?.over;
  },
  leave(name) { lines[name]?.shift()?.end(); },
  async empty(name) { while (lines[name]?.length) await lines[name].at(-1).over; },
};
