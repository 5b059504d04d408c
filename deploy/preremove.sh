#!/bin/sh
# On removal, not on an upgrade, the services stop and finish their uploads. Other
# mounts go on without the package; umount ends them.
set -e
case "${1:-}" in
upgrade | failed-upgrade | 1) exit 0 ;; # dpkg says upgrade, rpm counts what is left
esac
if [ -d /run/systemd/system ]; then
	systemctl stop 'scmfs@*.service' || true
fi
