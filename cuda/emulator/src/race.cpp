// Shared-memory races between warps, by vector clocks over barriers (FastTrack, Flanagan
// and Freund 2009): each piece of shared memory remembers who wrote it last and who has
// read it since, and when; an access is a race unless a barrier lies between.
#include <algorithm>

#include "memory_ops.h"

namespace emu {
namespace {

struct Cell {
  uint32_t writeEpoch, readEpoch;
  uint32_t readers;  // warps, in readEpoch
  uint8_t writer;
  uint8_t atomic;
};

class Clocks : public Race {
 public:
  void begin(uint32_t bytes, uint32_t granule, uint32_t warps) override {
    if (cells_.size() < bytes / granule + 1 || granule != granule_) {
      cells_.assign(bytes / granule + 1, Cell{});
      epoch_ = 0;
    }
    if (epoch_ > 0xf0000000) {
      std::fill(cells_.begin(), cells_.end(), Cell{});
      epoch_ = 0;
    }
    granule_ = granule;
    warps_ = warps;
    epoch_++;
    for (auto& row : seen_) std::fill(row, row + 32, epoch_);
    std::fill(least_, least_ + 32, epoch_);
    std::fill(arrived_, arrived_ + 32, 0);
  }

  void access(Warp& w, const Op& o, int lane, uint32_t at, uint32_t bytes, bool write, bool atomic) override {
    uint32_t me = w.id;
    for (uint32_t c = at / granule_, end = (at + bytes - 1) / granule_; c <= end; c++) {
      Cell& x = cells_[c];
      // Whatever happened before the least epoch known of every other warp is ordered.
      if (x.writeEpoch >= least_[me] && x.writer != me && !(atomic && x.atomic) && x.writeEpoch >= seen_[me][x.writer])
        race(w, o, lane, c, write ? "written" : "read", "written", x.writer);
      if (write && x.readEpoch >= least_[me] && (x.readers & ~(1u << me))) {
        for (uint32_t r = x.readers & ~(1u << me); r; r &= r - 1) {
          uint32_t other = (uint32_t)__builtin_ctz(r);
          if (x.readEpoch >= seen_[me][other]) race(w, o, lane, c, "written", "read", other);
        }
      }
      if (write) {
        x.writeEpoch = epoch_;
        x.writer = (uint8_t)me;
        x.atomic = atomic;
      } else {
        if (x.readEpoch != epoch_) x.readers = 0;
        x.readEpoch = epoch_;
        x.readers |= 1u << me;
      }
    }
  }

  void arrive(uint32_t warp) override { arrived_[warp] = ++epoch_; }

  void release(uint32_t who) override {
    uint32_t joined[32];
    for (uint32_t v = 0; v < warps_; v++) {
      joined[v] = 0;
      for (uint32_t w = 0; w < warps_; w++)
        if (who >> w & 1) joined[v] = std::max(joined[v], seen_[w][v]);
    }
    epoch_++;
    for (uint32_t v = 0; v < warps_; v++)
      if (who >> v & 1) {
        // A warp that only arrived has gone on: its later accesses are not covered.
        joined[v] = arrived_[v] ? arrived_[v] : epoch_;
        arrived_[v] = 0;
      }
    for (uint32_t w = 0; w < warps_; w++) {
      if (!(who >> w & 1)) continue;
      std::copy(joined, joined + warps_, seen_[w]);
      uint32_t least = ~0u;
      for (uint32_t v = 0; v < warps_; v++)
        if (v != w) least = std::min(least, joined[v]);
      least_[w] = least;
    }
  }

 private:
  [[noreturn]] void race(const Warp& w, const Op& o, int lane, uint32_t cell, const char* now, const char* before, uint32_t other) {
    fault(w, o, lane, 719, "shared-memory race: address " + hex((uint64_t)cell * granule_) + " is " + now + " after warp " + std::to_string(other) + " has " + before + " it, with no barrier between");
  }

  std::vector<Cell> cells_;
  uint32_t granule_ = 4, warps_ = 0, epoch_ = 0;
  uint32_t seen_[32][32], least_[32], arrived_[32];
};

}  // namespace

std::unique_ptr<Race> newRace() { return std::make_unique<Clocks>(); }

}  // namespace emu
