import { expect, test } from 'vitest';
import { lookUpPublic } from '../../../bridge/downloads/node-http-get.ts';
import { isPrivateAddress } from '../../../bridge/downloads/private-address.ts';

test.each([
  '127.0.0.1',
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '169.254.169.254',
  '172.31.255.255',
  '192.168.1.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:a00:1',
  '64:ff9b::a00:1',
  '2002:7f00:1::',
  'fe80::1%eth0',
  'fd12::1',
  'ff02::1',
  'localhost',
  '',
])('%s is private', (address) => {
  expect(isPrivateAddress(address)).toBe(true);
});

test.each([
  '1.1.1.1',
  '172.32.0.1',
  '100.128.0.1',
  '2606:4700::1111',
  '::ffff:1.1.1.1',
  '64:ff9b::101:101',
])('%s is public', (address) => {
  expect(isPrivateAddress(address)).toBe(false);
});

test.each([true, false])(
  'a name that leads to this machine is not looked up for a request (all: %s)',
  async (all) => {
    const error = await new Promise((resolve) => lookUpPublic('localhost', { all }, resolve));
    expect(String(error)).toMatch(
      /Nothing is downloaded from localhost: it is an address of this machine/,
    );
  },
);
