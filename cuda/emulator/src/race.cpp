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

class Clocks final : public Race {
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
    shift_ = (uint32_t)__builtin_ctz(granule);
    warps_ = warps;
    epoch_++;
    for (auto& row : seen_) std::fill(row, row + 32, epoch_);
    std::fill(least_, least_ + 32, epoch_);
    std::fill(arrived_, arrived_ + 32, 0);
  }

  void accesses(Warp& w, const Op& o, uint32_t m, const uint64_t* at, uint32_t bytes, bool write, bool atomic) override {
    const uint32_t me = w.id, least = least_[me], now = epoch_, shift = shift_, bit = 1u << me;
    Cell* cells = cells_.data();
    EMU_LANES(m) {
      for (uint32_t c = (uint32_t)at[i] >> shift, end = ((uint32_t)at[i] + bytes - 1) >> shift; c <= end; c++) {
        Cell& x = cells[c];
        // Whatever happened before the least epoch known of every other warp is ordered.
        if (x.writeEpoch >= least && x.writer != me && !(atomic && x.atomic) && x.writeEpoch >= seen_[me][x.writer])
          race(w, o, (int)i, c, write ? "written" : "read", "written", x.writer);
        if (!write) {
          x.readers = x.readEpoch == now ? x.readers | bit : bit;
          x.readEpoch = now;
          continue;
        }
        if (x.readEpoch >= least && (x.readers & ~bit)) {
          for (uint32_t r = x.readers & ~bit; r; r &= r - 1) {
            uint32_t other = (uint32_t)__builtin_ctz(r);
            if (x.readEpoch >= seen_[me][other]) race(w, o, (int)i, c, "written", "read", other);
          }
        }
        x.writeEpoch = now;
        x.writer = (uint8_t)me;
        x.atomic = atomic;
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
  uint32_t granule_ = 4, shift_ = 2, warps_ = 0, epoch_ = 0;
  uint32_t seen_[32][32], least_[32], arrived_[32];
};

}  // namespace

std::unique_ptr<Race> newRace() { return std::make_unique<Clocks>(); }

}  // namespace emu
