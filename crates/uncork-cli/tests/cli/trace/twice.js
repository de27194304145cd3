// A client of Node's `net` that writes each message with two calls, in two turns of its loop, and a
// server that answers when it has all of one. Argument: how many messages.
const net = require('net');
const HEAD_BYTES = 100;
const TAIL_BYTES = 10;

let left = Number(process.argv[2]);
const server = net.createServer(connection => {
  let received = 0;
  connection.on('data', data => {
    received += data.length;
    for (; received >= HEAD_BYTES + TAIL_BYTES; received -= HEAD_BYTES + TAIL_BYTES) {
      connection.write('ok');
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  console.log(port);
  const client = net.connect(port, '127.0.0.1');
  const send = () => {
    if (left-- === 0) {
      client.end();
      server.close();
      return;
    }
    client.write(Buffer.alloc(HEAD_BYTES));
    setImmediate(() => client.write(Buffer.alloc(TAIL_BYTES)));
  };
  client.on('connect', send);
  client.on('data', send);
});
