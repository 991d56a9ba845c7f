-- ANSI C12.18 frames for Wireshark: a packet, an ACK or a NAK in each record.
--
--   wireshark -X lua_script:docs/wireshark/c1218.lua capture.pcapng
--
-- `smartmeter VERB --pcap FILE` writes them under link type USER0 (147), with
-- the direction in the packet's flags: outbound is from the program to its peer.

local c1218 = Proto("c1218", "ANSI C12.18")

local SINGLES = { [0x06] = "ACK", [0x15] = "NAK", [0x55] = "wake-up" }
local SERVICES = {
  [0x20] = "Identify", [0x21] = "Terminate", [0x30] = "Full read", [0x3e] = "Default read",
  [0x3f] = "Offset read", [0x40] = "Full write", [0x4f] = "Offset write", [0x50] = "Logon",
  [0x51] = "Security", [0x52] = "Logoff", [0x53] = "Authenticate", [0x70] = "Wait",
  [0x71] = "Timing setup", [0x22] = "Disconnect",
}
local RESPONSES = {
  [0] = "ok", "err", "sns", "isc", "onp", "iar", "bsy", "dnr", "dlk", "rno", "isss", "sme", "uat",
  "nett", "netr", "rqtl", "rstl", "sgnp", "sgerr",
}

local f = {
  single = ProtoField.uint8("c1218.single", "Single character", base.HEX, SINGLES),
  stp = ProtoField.uint8("c1218.stp", "Start of packet", base.HEX),
  identity = ProtoField.uint8("c1218.identity", "Identity", base.HEX),
  control = ProtoField.uint8("c1218.control", "Control", base.HEX),
  multi = ProtoField.bool("c1218.multi", "Multi-packet", 8, nil, 0x80),
  first = ProtoField.bool("c1218.first", "First packet", 8, nil, 0x40),
  toggle = ProtoField.uint8("c1218.toggle", "Toggle", base.DEC, nil, 0x20),
  data_format = ProtoField.uint8("c1218.data_format", "Data format", base.DEC, nil, 0x03),
  sequence = ProtoField.uint8("c1218.seq", "Packets to follow", base.DEC),
  length = ProtoField.uint16("c1218.length", "Length", base.DEC),
  data = ProtoField.bytes("c1218.data", "Data"),
  service = ProtoField.uint8("c1218.service", "Service", base.HEX),
  response = ProtoField.uint8("c1218.response", "Response", base.HEX),
  table_nbr = ProtoField.uint16("c1218.table", "Table", base.DEC),
  crc = ProtoField.uint16("c1218.crc", "CRC", base.HEX),
  crc_good = ProtoField.bool("c1218.crc_good", "CRC is right"),
}
c1218.fields = f

local e_crc = ProtoExpert.new("c1218.crc_bad", "Wrong CRC", expert.group.CHECKSUM, expert.severity.ERROR)
local e_cut = ProtoExpert.new("c1218.cut", "No whole frame", expert.group.MALFORMED, expert.severity.ERROR)
c1218.experts = { e_crc, e_cut }

-- CRC-16/X-25: polynomial 1021 reflected, initial FFFF, inverted.
local function crc16(range)
  local crc, bytes = 0xffff, range:bytes()
  for i = 0, bytes:len() - 1 do
    crc = bit32.bxor(crc, bytes:get_index(i))
    for _ = 1, 8 do
      local odd = crc % 2 == 1
      crc = math.floor(crc / 2)
      if odd then crc = bit32.bxor(crc, 0x8408) end
    end
  end
  return bit32.bxor(crc, 0xffff)
end

local function name_of(code)
  if SERVICES[code] then return SERVICES[code] end
  if code > 0x30 and code < 0x3a then return "Index read" end
  if code > 0x40 and code < 0x4a then return "Index write" end
  if code >= 0x60 and code < 0x6c then return "Negotiate" end
  return string.format("service %02X", code)
end

local function message(data, tree)
  local code = data(0, 1):uint()
  if code < 0x20 then
    local name = RESPONSES[code] or "reserved"
    tree:add(f.response, data(0, 1)):append_text(" (" .. name .. ")")
    return name
  end
  tree:add(f.service, data(0, 1)):append_text(" (" .. name_of(code) .. ")")
  if code >= 0x30 and code < 0x50 and code ~= 0x3e and data:len() >= 3 then
    tree:add(f.table_nbr, data(1, 2))
    return string.format("%s of table %d", name_of(code), data(1, 2):uint())
  end
  return name_of(code)
end

function c1218.dissector(buffer, pinfo, root)
  pinfo.cols.protocol = "C12.18"
  local tree = root:add(c1218, buffer())
  local start = buffer(0, 1):uint()
  if buffer:len() == 1 and SINGLES[start] then
    tree:add(f.single, buffer(0, 1))
    pinfo.cols.info = SINGLES[start]
    return
  end
  if start ~= 0xee or buffer:len() < 8 or buffer(4, 2):uint() + 8 ~= buffer:len() then
    tree:add_proto_expert_info(e_cut)
    pinfo.cols.info = "no whole frame"
    return
  end
  local length = buffer(4, 2):uint()
  tree:add(f.stp, buffer(0, 1))
  tree:add(f.identity, buffer(1, 1))
  local control = tree:add(f.control, buffer(2, 1))
  for _, field in ipairs({ f.multi, f.first, f.toggle, f.data_format }) do
    control:add(field, buffer(2, 1))
  end
  tree:add(f.sequence, buffer(3, 1))
  tree:add(f.length, buffer(4, 2))
  if length > 0 then
    local data = tree:add(f.data, buffer(6, length))
    local plain = buffer(2, 1):bitfield(0, 1) == 0
    pinfo.cols.info = plain and message(buffer(6, length), data) or "part of a message"
  end
  local sent = tree:add_le(f.crc, buffer(6 + length, 2))
  local good = crc16(buffer(0, 6 + length)) == buffer(6 + length, 2):le_uint()
  tree:add(f.crc_good, good):set_generated()
  if not good then sent:add_proto_expert_info(e_crc) end
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, c1218)
