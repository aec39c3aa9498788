// nginx as the peer: one worker, no logs, files kept open, as its documentation advises for static content
// (https://docs.nginx.com/nginx/admin-guide/web-server/serving-static-content/).
export const NGINX_TUNING =
  "nginx: one worker, access log off, sendfile, tcp_nopush, tcp_nodelay, open_file_cache, keepalive_requests 1e9";

/** @param tls certificate and key for port 443 besides */
export function nginxConfiguration(root: string, folder: string, tls?: { chain: string; key: string }): string {
  const https = tls
    ? `
  ssl_certificate ${tls.chain}; ssl_certificate_key ${tls.key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on; ssl_session_cache off; ssl_buffer_size 16k;
  server { listen 443 ssl backlog=4096 reuseport; root ${root}; }`
    : "";
  return `worker_processes 1;
daemon off;
user root;
pid ${folder}/nginx.pid;
error_log /dev/null crit;
events { worker_connections 16384; }
http {
  default_type text/html;
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 65s;
  keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 80 backlog=4096 reuseport; root ${root}; }${https}
}
`;
}
