#pragma once
/// Create requests as clients send them, in their own order of keys.
#include <string_view>

namespace davit::test {

/// docker run -it --rm --memory 256m -v /src:/work:ro --env A=1 --label ci=yes alpine sh
/// (CLI 28.2).
inline constexpr std::string_view docker_cli_body = R"json({
  "Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,
  "AttachStderr":true,"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":["A=1"],"Cmd":["sh"],
  "Image":"alpine","Volumes":{},"WorkingDir":"","Entrypoint":null,"OnBuild":null,
  "Labels":{"ci":"yes"},
  "HostConfig":{"Binds":["/src:/work:ro"],"ContainerIDFile":"",
    "LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},
    "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":true,"VolumeDriver":"",
    "VolumesFrom":null,"ConsoleSize":[24,80],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"",
    "Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"",
    "Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,
    "PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"",
    "UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":268435456,"NanoCpus":0,
    "CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],
    "BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,
    "CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"",
    "Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,
    "MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],
    "CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,
    "MaskedPaths":null,"ReadonlyPaths":null},
  "NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,
    "Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"",
    "EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"",
    "GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}}})json";

/// client.containers.create("busybox", ["sleep", "5"], mem_limit="64m", tmpfs={"/run": "size=1m"},
/// ulimits=[Ulimit(name="nofile", soft=1024, hard=2048)]) of docker-py 7.
inline constexpr std::string_view docker_py_body = R"json({
  "Hostname":null,"Domainname":null,"ExposedPorts":null,"User":null,"Tty":false,
  "OpenStdin":false,"StdinOnce":false,"AttachStdin":false,"AttachStdout":false,
  "AttachStderr":false,"Env":null,"Cmd":["sleep","5"],"Image":"busybox","Volumes":null,
  "NetworkDisabled":false,"Entrypoint":null,"WorkingDir":null,
  "HostConfig":{"Memory":67108864,"NetworkMode":"none","Tmpfs":{"/run":"size=1m"},
    "Ulimits":[{"Name":"nofile","Soft":1024,"Hard":2048}],
    "MemorySwap":null,"CpuShares":null,"Devices":[]},
  "NetworkingConfig":null,"MacAddress":null,"Labels":null,"StopSignal":null,
  "Healthcheck":null,"StopTimeout":null,"Runtime":null})json";

/// A GenericContainer with a fixed command and a bound file, by docker-java (lower-case keys where
/// its mapper writes them so, and absent rather than null).
inline constexpr std::string_view testcontainers_body = R"json({
  "Image":"redis:7","Cmd":["redis-server","--save",""],"ExposedPorts":{"6379/tcp":{}},
  "Env":["LANG=C"],"Labels":{"org.testcontainers":"true",
    "org.testcontainers.sessionId":"0d7c3c5e"},
  "HostConfig":{"Binds":["/tmp/redis.conf:/etc/redis.conf:rw"],"NetworkMode":"none",
    "Privileged":false,"ExtraHosts":[],"VolumesFrom":[],"PortBindings":{},
    "memorySwappiness":null},
  "Healthcheck":{"Test":["CMD-SHELL","redis-cli ping"],"Interval":1000000000}})json";

}  // namespace davit::test
