// One side of the comparison, in a process of its own, so that no other side's garbage, compiled code or listeners are
// in what is measured. It does what the benchmark asks for, one thing after the other.
const sideName = String(process.argv[2]);
const { Side } = await import(`./sides/${sideName}.js`);
const side = new Side();

/** A benchmark that is gone hears nothing. */
const tell = (answer) => process.send?.(answer, () => {});

async function answer({ id, method, args }) {
  try {
    tell({ id, result: await side[method](args) });
  } catch (error) {
    tell({ id, error: error.stack });
  }
}

process.on('message', (asked) => void answer(asked));
// The benchmark is gone.
process.once('disconnect', () => process.exit());
