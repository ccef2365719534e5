// cliplens serve MODEL|STORE...
#include <csignal>
#include <thread>

#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/explorer_report.h"
#include "cliplens/server/explorer.h"
#include "cliplens/server/open_sources.h"

namespace cliplens::cli {
namespace {

struct ServeArguments {
  std::string listen = "127.0.0.1";
  int port = 7878;
  std::string token;
  bool with_token = false;
  std::vector<std::string> host_names;
  bool behind_proxy = false;
  server::SourcesChoice sources;
  bool exif_orientation = false;
};

// Matrices of statistics come and go by the megabyte. The allocator gives them back to the system
// at once, instead of learning to keep them, and has few heaps for its many threads.
void KeepLittleMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_ARENA_MAX, 2);
#endif
}

// Libraries that the explorer calls from several threads end the process in some places where they
// get no memory.
void CheckMemory() {
  constexpr rlim_t kLeast = rlim_t{512} << 20;
  for (const auto which : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit = {};
    if (::getrlimit(which, &limit) == 0 && limit.rlim_cur < kLeast) {
      throw Error(ErrorCode::kExhausted,
                  "memory is limited to {} MB, serve wants at least {} beside large models; raise "
                  "the limit (ulimit -v, ulimit -d)",
                  limit.rlim_cur >> 20, kLeast >> 20);
    }
  }
}

void Run(const ServeArguments& options, const Common& common) {
  CheckMemory();
  KeepLittleMemory();
  // Signals are waited for by a thread of their own; every other thread inherits the mask.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  server::ExplorerOptions explorer_options;
  explorer_options.threads = common.threads;
  explorer_options.exif_orientation = options.exif_orientation;
  server::Explorer explorer(OpenSources(options.sources, WarnOfBlankLines), explorer_options);
  server::HttpServer http({.host = options.listen, .port = options.port}, explorer);
  server::AccessOptions access;
  access.host = options.listen;
  access.port = http.port();
  access.names = options.host_names;
  access.behind_proxy = options.behind_proxy;
  access.token = options.token;
  // What was bound decides, however it is written.
  const std::string address = http.address();
  if (address == "0.0.0.0" || address == "::") access.host = address;
  if (access.token.empty() && (options.with_token || !server::IsLoopback(address))) {
    access.token = server::MakeToken();
  }
  explorer.Open(access);

  std::thread waiter([&] {
    int signal = 0;
    sigwait(&signals, &signal);
    explorer.Close();
    http.Stop();
  });
  const std::string page = explorer.access().SecretAddress();
  try {
    if (common.json) {
      PrintJson(ServeJson(page, http.port()));
    } else {
      Print(fmt::format("cliplens explorer: {}\nStop with Ctrl-C.\n", page));
    }
    http.Listen();
  } catch (...) {
    kill(getpid(), SIGTERM);  // ends the waiter
    waiter.join();
    throw;
  }
  waiter.join();
}

}  // namespace

void AddServe(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<ServeArguments>(
      app, common, "serve", "A local page to explore models and stores in the browser",
      "cliplens serve store --labels labels.json --texts world/texts/phrases.txt "
      "--classes world/texts/objects.txt");
  verb->add_option(
          "SOURCE", options->sources.sources,
          "Store directories and models, as many as are to be compared; a store of neurons "
          "is shown with those of its model")
      ->required();
  AddNumber(verb, "--port", options->port, 0, 65'535, "Port to listen on (0: any that is free)");
  verb->add_option("--listen", options->listen,
                   "Address to listen on; any but this machine's own asks for a token")
      ->check([](const std::string& address) {
        return address.empty() ? "an address is wanted; 0.0.0.0 stands for all of this machine's"
                               : "";
      })
      ->capture_default_str();
  verb->add_option("--token", options->token, "Secret that every request must carry")
      ->check([](const std::string& token) {
        const bool fits = token.size() >= 16 && token.size() <= 256 &&
                          token.find_first_not_of(
                              "0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == std::string::npos;
        return fits ? "" : "16 to 256 letters, digits, - and _ are wanted";
      });
  verb->add_flag("--with-token", options->with_token, "Ask for a token on this machine too");
  verb->add_option("--host-name", options->host_names,
                   "Further name that the page is reached by, such as a proxy's; with a port pages "
                   "of this port alone; as often as you like")
      ->check([](const std::string& name) {
        return server::IsHostName(name) ? "" : "NAME or NAME:PORT is wanted, without http://";
      })
      ->allow_extra_args(false)
      ->take_all();
  verb->add_flag("--behind-proxy", options->behind_proxy,
                 "Believe the X-Forwarded-Host and X-Forwarded-Proto of a proxy in front");
  verb->add_option("--texts", options->sources.texts,
                   "Text pool that heads are described with, or a shipped one (default: general)");
  verb->add_option("--properties", options->sources.properties,
                   "Property table for labels (default: the shipped table for photographs)");
  verb->add_option("--labels", options->sources.labels,
                   "File that 'cliplens label STORE --out FILE' wrote; one for each model")
      ->allow_extra_args(false)
      ->take_all();
  verb->add_option("--classes", options->sources.classes.classes,
                   "File with one class a line, optionally a tab and its label");
  AddTemplatesOption(verb, options->sources.classes);
  verb->add_option("--label", options->sources.classes.label,
                   "Attribute that holds the label (default: the picture's own label)");
  verb->add_option("--images", options->sources.images,
                   "The pictures, where the store's own have moved");
  verb->add_flag("--exif-orientation", options->exif_orientation,
                 "Turn pictures that are sent upright by their EXIF orientation; a store's are "
                 "turned if 'cliplens decompose' turned them");
  AddModelOption(verb, options->sources.model);
  AddPrecisionOption(verb, options->sources.model);
}

}  // namespace cliplens::cli
