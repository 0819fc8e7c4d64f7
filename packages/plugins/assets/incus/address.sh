#!/bin/sh
# address.sh EVENT   what udhcpc was told of the network: the address, the way out, the servers of names.
umask 022
case $1 in
deconfig) ip link set "$interface" up ;;
bound | renew)
  ip addr replace "$ip/${mask:-32}" dev "$interface"
  for way in $router; do
    ip route replace default via "$way" dev "$interface" && break
  done
  [ -z "$dns" ] || {
    [ -z "$domain" ] || echo "search $domain"
    for server in $dns; do echo "nameserver $server"; done
  } >/etc/resolv.conf
  ;;
esac
