/** Mocha lets a rejection that nobody handles pass; here it fails the test that runs, as it would end a user's process. */
process.on('unhandledRejection', (reason) => {
  throw reason;
});
