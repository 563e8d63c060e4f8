-- Makes fields of what diagsh says of packets in comments: diagsh.process, .pid, .user and .exe of the
-- sender, diagsh.to.* of the receiver, and diagsh.drop.reason and .place of packets that the kernel
-- dropped. Put the file into Wireshark's folder of personal plugins, or: tshark -X lua_script:diagsh.lua
local p = Proto("diagsh", "diagsh")
local comment = Field.new("frame.comment")
local f = {}
for _, who in ipairs({ "", "to." }) do
  f[who .. "process"] = ProtoField.string("diagsh." .. who .. "process", "Process")
  f[who .. "pid"] = ProtoField.uint32("diagsh." .. who .. "pid", "PID")
  f[who .. "user"] = ProtoField.string("diagsh." .. who .. "user", "User")
  f[who .. "exe"] = ProtoField.string("diagsh." .. who .. "exe", "Executable")
end
f.reason = ProtoField.string("diagsh.drop.reason", "Reason of the drop")
f.place = ProtoField.string("diagsh.drop.place", "Place of the drop")
p.fields = f

function p.dissector(_, _, tree)
  for _, one in ipairs({ comment() }) do
    local text = tostring(one.value)
    local who, rest = "", text
    if text:sub(1, 3) == "to " then
      who, rest = "to.", text:sub(4)
    end
    local name = rest:match("^process=(%S+) pid=%d+") or ""
    local pid = rest:match("^process=%S+ pid=(%d+)") or rest:match("^pid=(%d+)")
    if pid then
      local t = tree:add(p)
      if name ~= "" then t:add(f[who .. "process"], name) end
      t:add(f[who .. "pid"], tonumber(pid))
      local user, exe = rest:match(" user=(%S+)"), rest:match(" exe=(.+)$")
      if user then t:add(f[who .. "user"], user) end
      if exe then t:add(f[who .. "exe"], exe) end
    end
    local reason = text:match("^dropped: (%S+)")
    if reason then
      local t, place = tree:add(p), text:match("^dropped: %S+ at (%S+)")
      t:add(f.reason, reason)
      if place then t:add(f.place, place) end
    end
  end
end

register_postdissector(p)
