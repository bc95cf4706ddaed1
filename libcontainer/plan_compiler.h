#pragma once
/// PlanCompiler: what plan_compile() (launch_plan.cc) and sandbox_plan_compile() (sandbox_plan.cc)
/// share.
#include <optional>
#include <string>
#include <vector>

#include "libcontainer/launch_plan.h"
#include "libcontainer/plan_writer.h"

namespace davit {

/// Turns a spec into a plan; used once.
class PlanCompiler {
  public:
    PlanCompiler(const ContainerSpec& spec, PlanOptions options) : spec_(spec), options_(options) {}

    Result<LaunchPlan> run();
    Result<LaunchPlan> sandbox();

  private:
    Result<void> check() const;
    Result<void> sandbox_check() const;
    void registers_assign();
    void namespaces();
    void namespaces_join();
    void process_attributes();
    void user_namespace_enter();
    static bool is_seen_before(const Mount& mount);
    static bool is_of_sandbox(const Mount& mount);
    std::optional<std::size_t> dev_index() const;
    void dev_make();
    void device_make(const Device& device, const std::string& path);
    void filesystem_make(const Mount& mount, std::size_t index);
    void filesystem_options(const Mount& mount);
    void sources_open();
    void cgroup_sources_open();
    void mounts();
    void mount_one(const Mount& mount, std::size_t index);
    void sandbox_take();
    void attach(const Mount& mount, std::size_t index);
    void cgroup_mount(const Mount& mount);
    void root_fill();
    void gates();
    void devices_make();
    void names_set();
    void kernel_tune();
    void paths_protect();
    Result<LaunchPlan> finish();

    void join(NamespaceMode mode, RegisterKind kind, std::uint64_t type, const char* name);

    /// Open a host path into a new register, with its attributes and propagation.
    std::uint16_t source(const std::string& path, const Mount& mount);
    void source_attributes(std::uint16_t reg, const std::string& path, const Mount& mount);

    bool has_user_namespace() const { return !spec_.ids.is_identity(); }

    /// The host's cgroup namespace is shown only to who has power over it.
    bool binds_cgroup2() const {
        return spec_.cgroup.pure_v2 && has_user_namespace() && wanted_host(spec_.namespaces.cgroup);
    }

    static bool wanted_host(NamespaceMode mode) { return mode == NamespaceMode::host; }

    const ContainerSpec& spec_;
    PlanOptions options_;
    PlanWriter writer_;
    LaunchPlan plan_;
    std::vector<std::uint16_t>
        mount_registers_;  // Parallel to spec_.mounts; for bind and prepared.
    std::vector<std::uint16_t> cgroup_registers_;  // Parallel to spec_.cgroup.hierarchies.
    std::size_t register_count_ = 0;
    std::uint16_t start_register_ = 0;
    std::uint64_t unshared_ = 0;  // CLONE_NEW* that davit-init makes itself.
};

}  // namespace davit
