import t from 'tap'
import { isPublicAddress, withoutPort } from '../../src/core/addresses.ts'

t.test('an address of the public internet is public', async t => {
  for (const address of ['1.1.1.1', '8.8.8.8', '100.63.255.255', '100.128.0.0', '172.15.0.1', '172.32.0.1', '198.20.0.0', '223.255.255.255',
    '2606:4700:4700::1111', '2a00:1450:4001:800::200e', '3ffe::1', '64:ff9b::8.8.8.8', '64:ff9b::808:808']) {
    t.equal(isPublicAddress(address), true, address)
  }
})

t.test('an address of a special range is not public, however IPv6 writes it', async t => {
  const special = {
    'this network': ['0.0.0.0', '0.1.2.3', '::'],
    loopback: ['127.0.0.1', '127.255.255.255', '::1'],
    private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.0.1', 'fc00::1', 'fd00:ec2::254'],
    shared: ['100.64.0.0', '100.127.255.255'],
    'link-local': ['169.254.169.254', 'fe80::1', 'febf::1', 'fe80::1%eth0', 'fec0::1'],
    multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
    reserved: ['192.0.0.8', '192.88.99.1', '240.0.0.1', '255.255.255.255', '100::1', '4000::1', '5f00::1', '2001:100::1'],
    'documentation and benchmarks': ['192.0.2.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1', '2001:2::1'],
    'IPv4 in IPv6': ['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:8.8.8.8', '::127.0.0.1', '::8.8.8.8', '::ffff:0:127.0.0.1'],
    translated: ['64:ff9b::127.0.0.1', '64:ff9b::a00:1', '64:ff9b::169.254.169.254', '64:ff9b:1::8.8.8.8'],
    '6to4 and Teredo': ['2002:7f00:1::', '2002:808:808::1', '2001::1', '2001:0:7f00:1::1']
  }
  for (const [range, addresses] of Object.entries(special)) {
    for (const address of addresses) t.equal(isPublicAddress(address), false, `${range}: ${address}`)
  }
})

t.test('what is no plain address is not public', async t => {
  for (const text of ['', 'example.org', 'localhost', '8.8.8', '8.8', '134744072', '0x08080808', '010.8.8.8', '8.8.8.8.', '8.8.8.8/32', ' 8.8.8.8', '[2606:4700::1]', '256.1.1.1']) {
    t.equal(isPublicAddress(text), false, JSON.stringify(text))
  }
})

t.test('a port that a proxy writes behind an address is no part of it', async t => {
  const written = {
    '198.51.100.7:40001': '198.51.100.7',
    '198.51.100.7': '198.51.100.7',
    '[2001:db8::1]:443': '2001:db8::1',
    '[2001:db8::1]': '2001:db8::1',
    '2001:db8::1': '2001:db8::1',
    '::ffff:198.51.100.7': '::ffff:198.51.100.7',
    'unknown:1': 'unknown:1',
    '198.51.100.7:port': '198.51.100.7:port',
    '': ''
  }
  for (const [address, bare] of Object.entries(written)) t.equal(withoutPort(address), bare, address)
})
